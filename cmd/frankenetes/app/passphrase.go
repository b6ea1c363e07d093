package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"frankenetes.dev/fault"
)

// shortest is the length of the shortest passphrase that a backup is written
// with.
const shortest = 8

// passphrase reads one from a file, or asks for it on the terminal; a new one
// is asked for twice. It is never on a command line or in the environment,
// where others could read it.
func (o *options) passphrase(ctx context.Context, file string, fresh bool) (string, error) {
	phrase, err := o.readPassphrase(ctx, file, fresh)
	if err != nil {
		return "", err
	}
	if fresh && len(phrase) < shortest {
		return "", fault.New(fault.Usage, "choose a longer one: whoever has the file and guesses it has the cluster",
			"the passphrase has fewer than %d characters", shortest)
	}
	return phrase, nil
}

func (o *options) readPassphrase(ctx context.Context, file string, fresh bool) (string, error) {
	switch file {
	case "-":
		return firstLine(o.streams.In)
	case "":
		return o.askPassphrase(ctx, fresh)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fault.New(fault.Usage, "give a file whose first line is the passphrase", "read passphrase: %w", err)
	}
	defer f.Close()
	return firstLine(f)
}

func firstLine(in io.Reader) (string, error) {
	text, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	return strings.TrimRight(text, "\r\n"), nil
}

func (o *options) askPassphrase(ctx context.Context, fresh bool) (string, error) {
	in, ok := o.streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || o.quiet {
		return "", fault.New(fault.Usage, "give a file with --passphrase-file", "there is no passphrase, and no terminal to ask for it")
	}
	phrase, err := o.askHidden(ctx, in, "Passphrase: ")
	if err != nil || !fresh {
		return phrase, err
	}
	again, err := o.askHidden(ctx, in, "Once more: ")
	if err == nil && again != phrase {
		err = fault.New(fault.Usage, "", "the two passphrases are not the same")
	}
	return phrase, err
}

// askHidden reads a line that is not shown. What ends it leaves the terminal as
// it was.
func (o *options) askHidden(ctx context.Context, in *os.File, question string) (string, error) {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask for passphrase: %w", err)
	}
	defer func() { _ = term.Restore(fd, before) }()
	fmt.Fprint(o.streams.Err, question)
	defer fmt.Fprintln(o.streams.Err)
	type answer struct {
		text []byte
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- answer{text, err}
	}()
	select {
	case a := <-read:
		if a.err != nil {
			return "", fmt.Errorf("ask for passphrase: %w", a.err)
		}
		return string(a.text), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

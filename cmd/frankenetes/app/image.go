package app

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"frankenetes.dev/embedded"
	"frankenetes.dev/fault"
)

func (o *options) imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Images of the local cloud: load, list, rm",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(o.imageLoad(), o.imageList(), o.imageRemove())
	return cmd
}

func (o *options) imageLoad() *cobra.Command {
	var called string
	cmd := &cobra.Command{
		Use:   "load FILE...",
		Short: "Load images from archives or OCI directories, or from standard input with -",
		Long: "Load what `docker save` writes, or images in OCI layout: as an archive, which may be\n" +
			"compressed, or as a directory. Container groups then use them without any registry.",
		Example: "  docker save app:dev | frankenetes image load -\n  frankenetes image load --name app:dev build/oci",
		Args:    atLeastOne("FILE", "such as: docker save app | frankenetes image load -"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			if called != "" && len(args) > 1 {
				return fault.New(fault.Usage, "load them one by one", "--name names one image, and there are %d archives", len(args))
			}
			var all []embedded.Image
			for _, path := range args {
				list, err := o.loadFrom(ctx, path, called)
				if err != nil {
					return err
				}
				all = append(all, list...)
			}
			return o.print(all, imageNames(all), func(w io.Writer) {
				for _, i := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\n", i.Name, short(i.Digest), megabytes(i.Size))
				}
			})
		},
	}
	cmd.Flags().StringVar(&called, "name", "", "name of an archive's only image")
	return cmd
}

// loadFrom loads one archive.
func (o *options) loadFrom(ctx context.Context, path, called string) ([]embedded.Image, error) {
	archive, err := o.openArchive(path)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	list, err := embedded.LoadImages(ctx, o.embedded(), archive, called)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("load %s: %w", path, ctx.Err())
	}
	if err != nil {
		return nil, explainImage(fmt.Errorf("load %s: %w", path, err))
	}
	return list, nil
}

// openArchive opens a file, standard input, or a directory as the archive that
// it would be.
func (o *options) openArchive(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(o.streams.In), nil
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		_, err = os.Stat(filepath.Join(path, "oci-layout"))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "it takes a file of `docker save` or a directory in OCI layout", "load %s: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("load image: %w", err)
	}
	if !info.IsDir() {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("load image: %w", err)
		}
		return f, nil
	}
	read, write := io.Pipe()
	go func() { // ends when all is read, or with the reader
		w := tar.NewWriter(write)
		write.CloseWithError(errors.Join(w.AddFS(os.DirFS(path)), w.Close()))
	}()
	return read, nil
}

func (o *options) imageList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List them", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			list, err := embedded.ListImages(ctx, o.embedded())
			if err != nil {
				return explainImage(err)
			}
			return o.print(list, imageNames(list), func(w io.Writer) { writeImages(w, list) })
		},
	}
}

func writeImages(w io.Writer, list []embedded.Image) {
	fmt.Fprintln(w, "NAME\tDIGEST\tSIZE\tAGE\t")
	for _, i := range list {
		note := ""
		if i.BuiltIn {
			note = "built in"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", i.Name, short(i.Digest), megabytes(i.Size), age(i.Updated), note)
	}
}

func (o *options) imageRemove() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "rm NAME...", Aliases: []string{"remove"}, Short: "Remove them",
		Args: atLeastOne("NAME", "`frankenetes image list` shows them"), ValidArgsFunction: o.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			var removed []string
			for _, name := range args {
				full, err := embedded.RemoveImage(ctx, o.embedded(), name, force)
				if errors.Is(err, embedded.ErrImageNoName) {
					return fault.New(fault.Usage, "`frankenetes image list` shows the names", "%w", err)
				}
				if err != nil {
					return explainImage(err)
				}
				removed = append(removed, full)
			}
			return o.print(removed, removed, func(w io.Writer) {
				for _, name := range removed {
					fmt.Fprintln(w, name)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also those that a container group uses")
	return cmd
}

// completeImages offers the images that can be removed to a shell.
func (o *options) completeImages(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	list, _ := embedded.ListImages(cmd.Context(), o.embedded())
	var names []string
	for _, i := range list {
		if !i.BuiltIn {
			names = append(names, i.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// explainImage gives the errors of the image store their kind and a hint.
func explainImage(err error) error {
	switch {
	case errors.Is(err, embedded.ErrImageNotFound):
		return fault.New(fault.NotFound, "`frankenetes image list` shows those that there are", "%w", err)
	case errors.Is(err, embedded.ErrImageInUse):
		return fault.New(fault.Conflict, "delete the container groups, or remove it with --force", "%w", err)
	case errors.Is(err, embedded.ErrImageBuiltIn):
		return fault.New(fault.Permission, "give your image another name", "%w", err)
	case errors.Is(err, embedded.ErrImageNoName):
		return fault.New(fault.Usage, "name it with --name, such as --name app:dev", "%w", err)
	case errors.Is(err, embedded.ErrBadArchive):
		return fault.New(fault.Usage, "it takes what `docker save` writes, or images in OCI layout; nothing was loaded from it", "%w", err)
	}
	return explainLocal(err)
}

// atLeastOne accepts one or more words.
func atLeastOne(what, hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fault.New(fault.Usage, hint, "%s takes at least one %s", cmd.Name(), what)
		}
		return nil
	}
}

func imageNames(list []embedded.Image) []string {
	names := []string{}
	for _, i := range list {
		names = append(names, i.Name)
	}
	return names
}

// short is as much of a digest as people compare.
func short(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }

func megabytes(size int64) string { return fmt.Sprintf("%.1f MB", float64(size)/1e6) }

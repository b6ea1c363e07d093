package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"frankenetes.dev/agent/protocol"
)

// FromEnvironment reads the configuration that a container of a pod has, and
// removes it from the environment.
func FromEnvironment() (Config, error) {
	cfg := Config{Root: protocol.Root, Volumes: protocol.Volumes}
	take := func(name string) string {
		value := os.Getenv(name)
		_ = os.Unsetenv(name)
		return value
	}
	cfg.Node = take(protocol.EnvNode)
	cfg.Token = take(protocol.EnvToken)
	cfg.Authority = []byte(take(protocol.EnvAuthority))
	if cfg.Node == "" || cfg.Token == "" || len(cfg.Authority) == 0 {
		return cfg, fmt.Errorf("read environment: %s, %s and %s must be set",
			protocol.EnvNode, protocol.EnvToken, protocol.EnvAuthority)
	}
	return cfg, nil
}

// EraseEnvironment overwrites what /proc/1/environ shows of the environment
// with which this process was started: the kernel reads that from where it
// first put it, whatever was unset since.
func EraseEnvironment() error {
	start, end, err := environmentArea()
	if err != nil {
		return fmt.Errorf("erase environment: %w", err)
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("erase environment: %w", err)
	}
	_, err = memory.WriteAt(make([]byte, end-start), start)
	if err := errors.Join(err, memory.Close()); err != nil {
		return fmt.Errorf("erase environment: %w", err)
	}
	return nil
}

// environmentArea reads env_start and env_end, see proc(5).
func environmentArea() (start, end int64, err error) {
	const fieldsAfterName, startField = 50, 47
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < fieldsAfterName {
		return 0, 0, errors.New("/proc/self/stat does not say where it is")
	}
	start, err1 := strconv.ParseInt(string(fields[startField]), 10, 64)
	end, err2 := strconv.ParseInt(string(fields[startField+1]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, err
	}
	if start <= 0 || end < start {
		return 0, 0, errors.New("/proc/self/stat does not say where it is")
	}
	return start, end, nil
}

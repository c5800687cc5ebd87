package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// lockFile is in the folder of a role that is served from there.
const lockFile = "serving"

var errLocked = errors.New("locked")

// claim makes this process the only one that serves these roles out of its data
// directory. With PostgreSQL any number of processes may.
func (h *house) claim(roles []string) error {
	if h.postgres() {
		return nil
	}
	for _, role := range roles {
		dir := filepath.Join(h.dir, role)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		h.closers = append(h.closers, f.Close) // ends the lock
		if err := lock(f); err != nil {
			if !errors.Is(err, errLocked) {
				return err
			}
			return hint(fmt.Errorf("another eidos%s serves the role %s from %s", processIn(f), role, h.dir),
				"end it first, or give this one a folder of its own with --data; several processes of a role need a database of type postgres")
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
			return err
		}
	}
	return nil
}

// processIn is the process that wrote a lock file, for a message.
func processIn(f *os.File) string {
	var b [32]byte
	n, _ := f.Read(b[:]) // without it the message is shorter
	pid := strings.TrimSpace(string(b[:n]))
	if pid == "" || strings.Trim(pid, "0123456789") != "" {
		return ""
	}
	return " (process " + pid + ")"
}

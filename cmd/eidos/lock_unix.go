//go:build unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// lock takes a file for this process until it is closed, or returns errLocked.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/eidos-id/eidos/securearea/software"
)

// openArea opens the software secure area in a folder, and makes it, with a
// fresh device secret beside it, if there is none. The secret keeps keys from
// being read out of a copy of the folder alone; it is as safe as the file.
func openArea(ctx context.Context, dir, name string) (*software.Area, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	secret, err := deviceSecret(filepath.Join(dir, "device.secret"))
	if err != nil {
		return nil, fmt.Errorf("device secret of %s: %w", name, err)
	}
	storage, err := software.OpenDirectory(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	return software.Open(ctx, software.Options{Storage: storage, Secret: secret, Name: name})
}

// deviceSecret reads 32 random bytes, which it writes the first time. Of two
// processes that do so at once one wins; the other reads what it wrote.
func deviceSecret(name string) ([]byte, error) {
	secret, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		secret = make([]byte, 32)
		rand.Read(secret)                                          // never fails: crypto/rand
		tmp, err := os.CreateTemp(filepath.Dir(name), ".secret-*") // mode 0600
		if err != nil {
			return nil, err
		}
		defer os.Remove(tmp.Name())
		if _, err := tmp.Write(secret); err != nil {
			return nil, errors.Join(err, tmp.Close())
		}
		if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
			return nil, err
		}
		if err := os.Link(tmp.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if secret, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if len(secret) != 32 {
		return nil, fmt.Errorf("%s holds %d bytes, not 32", name, len(secret))
	}
	return secret, nil
}

// writeFile replaces a file at once: readers see the old or the new one.
func writeFile(name string, data []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return writeError(name, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return writeError(name, err)
	}
	return writeError(name, os.Rename(tmp.Name(), name))
}

// writeError names the file that was meant, not the one beside it.
func writeError(name string, err error) error {
	if err == nil {
		return nil
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	} else if le, ok := errors.AsType[*os.LinkError](err); ok {
		err = le.Err
	}
	return fmt.Errorf("write %s: %w", name, err)
}

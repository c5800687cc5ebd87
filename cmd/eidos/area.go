package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/eidos-id/eidos/keyring"
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

// fileKeys keeps the records of a keyring in one JSON file, for the keys that
// the pki commands make. One process at a time.
type fileKeys struct {
	mu   sync.Mutex
	path string
}

func (f *fileKeys) load() ([]keyring.Record, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []keyring.Record
	return all, json.Unmarshal(data, &all)
}

// PutKey implements keyring.Store.
func (f *fileKeys) PutKey(_ context.Context, record keyring.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.load()
	if err != nil {
		return err
	}
	kept := all[:0]
	for _, r := range all {
		if r.Tenant != record.Tenant || r.ID != record.ID {
			kept = append(kept, r)
		}
	}
	data, err := json.MarshalIndent(append(kept, record), "", "  ")
	if err != nil {
		return err
	}
	return writeFile(f.path, data, 0o600)
}

// Keys implements keyring.Store.
func (f *fileKeys) Keys(_ context.Context, tenant string, purpose keyring.Purpose) ([]keyring.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.load()
	if err != nil {
		return nil, err
	}
	var out []keyring.Record
	for _, r := range all {
		if r.Tenant == tenant && r.Purpose == purpose {
			out = append(out, r)
		}
	}
	return out, nil
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

package software

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/eidos-id/eidos/securearea"
)

// ErrExists: a Storage already has something under this name.
var ErrExists = errors.New("software secure area: name is taken")

// Storage keeps sealed records by name. Everything given to it is encrypted
// already; it has to be durable, not secret. Names are lower case letters,
// digits and hyphens, at most 64 of them. Records are written once and never
// replaced. Methods are safe for several goroutines, and for several processes
// if the area is opened by several.
type Storage interface {
	// Put stores value under a name that is not taken yet, wholly or not at
	// all; when it returns nil the record survives a crash. ErrExists. It does
	// not keep the slice.
	Put(ctx context.Context, name string, value []byte) error
	// Get returns the record; securearea.ErrNotFound.
	Get(ctx context.Context, name string) ([]byte, error)
	// Delete removes the record durably; securearea.ErrNotFound.
	Delete(ctx context.Context, name string) error
	// List returns all names, in any order.
	List(ctx context.Context) ([]string, error)
}

// Memory is a Storage that forgets when the process ends.
type Memory struct {
	mu      sync.RWMutex
	records map[string][]byte
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{records: map[string][]byte{}} }

// Put implements Storage.
func (m *Memory) Put(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.records[name]; taken {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	m.records[name] = append([]byte(nil), value...)
	return nil
}

// Get implements Storage.
func (m *Memory) Get(_ context.Context, name string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.records[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", securearea.ErrNotFound, name)
	}
	return append([]byte(nil), value...), nil
}

// Delete implements Storage.
func (m *Memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.records[name]; !ok {
		return fmt.Errorf("%w: %s", securearea.ErrNotFound, name)
	}
	delete(m.records, name)
	return nil
}

// List implements Storage.
func (m *Memory) List(context.Context) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	names := make([]string, 0, len(m.records))
	for name := range m.records {
		names = append(names, name)
	}
	return names, nil
}

// Directory is a Storage of one file per record, readable by its owner only.
type Directory struct{ path string }

const suffix = ".sealed"

// OpenDirectory returns the storage in a folder, which is made (mode 0700) if
// it is not there.
func OpenDirectory(path string) (*Directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("software secure area: %w", err)
	}
	return &Directory{path: path}, nil
}

func (d *Directory) file(name string) (string, error) {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		// Names are our own; one that could leave the folder is not.
		return "", fmt.Errorf("%w: no such name is ever given", securearea.ErrNotFound)
	}
	return filepath.Join(d.path, name+suffix), nil
}

// Put implements Storage: a temporary file, synced, linked to its name, and the
// folder synced.
func (d *Directory) Put(_ context.Context, name string, value []byte) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(d.path, "new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("software secure area: %w", err)
	}
	defer os.Remove(temp.Name()) // after the link this is the second name only
	_, err = temp.Write(value)
	if err == nil {
		err = temp.Sync()
	}
	if closing := temp.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("software secure area: write %s: %w", name, err)
	}
	// A link, unlike a rename, never replaces what is there.
	if err := os.Link(temp.Name(), path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, name)
	} else if err != nil {
		return fmt.Errorf("software secure area: write %s: %w", name, err)
	}
	return d.sync()
}

// Get implements Storage.
func (d *Directory) Get(_ context.Context, name string) ([]byte, error) {
	path, err := d.file(name)
	if err != nil {
		return nil, err
	}
	value, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", securearea.ErrNotFound, name)
	}
	if err != nil {
		return nil, fmt.Errorf("software secure area: %w", err)
	}
	return value, nil
}

// Delete implements Storage.
func (d *Directory) Delete(_ context.Context, name string) error {
	path, err := d.file(name)
	if err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", securearea.ErrNotFound, name)
	}
	if err != nil {
		return fmt.Errorf("software secure area: %w", err)
	}
	return d.sync()
}

// List implements Storage. Files that are not ours are passed over.
func (d *Directory) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("software secure area: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && !e.IsDir() {
			names = append(names, name)
		}
	}
	return names, nil
}

// sync makes names durable. Windows cannot sync a folder and does not need it.
func (d *Directory) sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(d.path)
	if err != nil {
		return fmt.Errorf("software secure area: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("software secure area: sync folder: %w", err)
	}
	return nil
}

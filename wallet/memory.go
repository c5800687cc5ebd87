package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a Storage that forgets when the process ends, for tests and trials.
type Memory struct {
	mu   sync.RWMutex
	data map[place][]byte
}

// place is where a value is.
type place struct{ kind, id string }

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{data: map[place][]byte{}} }

// Tx implements Storage.
func (m *Memory) Tx(ctx context.Context, f func(Txn) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &memoryTxn{base: m.data, changed: map[place][]byte{}}
	defer func() { t.base = nil }()
	if err := f(t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for p, v := range t.changed {
		if v == nil {
			delete(m.data, p)
		} else {
			m.data[p] = v
		}
	}
	return nil
}

// View implements Storage.
func (m *Memory) View(_ context.Context, f func(Txn) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	t := &memoryTxn{base: m.data}
	defer func() { t.base = nil }()
	return f(t)
}

// memoryTxn lays changes over the data; a nil value is a deletion.
type memoryTxn struct {
	base    map[place][]byte
	changed map[place][]byte // nil in a View
}

var (
	errReadOnly = errors.New("storage: a View only reads")
	errOver     = errors.New("storage: the transaction is over")
)

// Get implements Txn.
func (t *memoryTxn) Get(_ context.Context, kind, id string) ([]byte, error) {
	if t.base == nil {
		return nil, errOver
	}
	v, ok := t.changed[place{kind, id}]
	if !ok {
		v = t.base[place{kind, id}]
	}
	if v == nil {
		return nil, fmt.Errorf("%s: %w", kind, ErrNotFound)
	}
	return bytes.Clone(v), nil
}

// Put implements Txn.
func (t *memoryTxn) Put(_ context.Context, kind, id string, value []byte) error {
	return t.change(kind, id, append([]byte{}, value...))
}

// Delete implements Txn.
func (t *memoryTxn) Delete(_ context.Context, kind, id string) error { return t.change(kind, id, nil) }

func (t *memoryTxn) change(kind, id string, value []byte) error {
	switch {
	case t.base == nil:
		return errOver
	case t.changed == nil:
		return errReadOnly
	}
	t.changed[place{kind, id}] = value
	return nil
}

// List implements Txn.
func (t *memoryTxn) List(_ context.Context, kind, prefix string) ([]Item, error) {
	if t.base == nil {
		return nil, errOver
	}
	found := map[string][]byte{}
	for _, layer := range []map[place][]byte{t.base, t.changed} {
		for p, v := range layer {
			if p.kind == kind && strings.HasPrefix(p.id, prefix) {
				found[p.id] = v
			}
		}
	}
	var out []Item
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if v := found[id]; v != nil {
			out = append(out, Item{id, bytes.Clone(v)})
		}
	}
	return out, nil
}

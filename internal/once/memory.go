package once

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"time"
)

// Memory is a Store for tests and for cores that run in a browser. Each method
// is atomic; Tx makes several so. It may be used concurrently.
type Memory struct {
	mu     sync.Mutex
	things memoryTx // guarded by mu
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{things: memoryTx{}} }

var (
	_ Store    = (*Memory)(nil)
	_ Consumer = (*Memory)(nil)
	_ Store    = memoryTx(nil)
)

// Put implements Store.
func (m *Memory) Put(ctx context.Context, kind, id string, value []byte, expires time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.things.Put(ctx, kind, id, value, expires)
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.things.Get(ctx, kind, id, now)
}

// Claim implements Store.
func (m *Memory) Claim(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.things.Claim(ctx, kind, id, now)
}

// Consume implements Consumer.
func (m *Memory) Consume(ctx context.Context, kind, id string, now, expires time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Consume(ctx, m.things, kind, id, now, expires)
}

// Tx runs f alone on the store, and undoes what f did if it returns an error.
// f must use the Store that it is given, not the Memory.
func (m *Memory) Tx(f func(Store) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := maps.Clone(m.things)
	err := f(m.things)
	if err != nil {
		m.things = before
	}
	return err
}

// DeleteExpired forgets everything that expired at or before now.
func (m *Memory) DeleteExpired(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, t := range m.things {
		if t.expires <= now.UnixMilli() {
			delete(m.things, k)
		}
	}
}

type memoryKey struct{ kind, id string }

type memoryThing struct {
	value   []byte
	expires int64 // milliseconds since 1970
	claimed bool
}

// memoryTx is the Store inside Memory.Tx.
type memoryTx map[memoryKey]memoryThing

func (m memoryTx) Put(_ context.Context, kind, id string, value []byte, expires time.Time) error {
	m[memoryKey{kind, id}] = memoryThing{value: bytes.Clone(value), expires: expires.UnixMilli()}
	return nil
}

func (m memoryTx) Get(_ context.Context, kind, id string, now time.Time) ([]byte, error) {
	t, ok := m[memoryKey{kind, id}]
	switch {
	case !ok:
		return nil, ErrNotFound
	case t.claimed:
		return nil, ErrClaimed
	case t.expires <= now.UnixMilli():
		return nil, ErrExpired
	}
	return bytes.Clone(t.value), nil
}

func (m memoryTx) Claim(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	value, err := m.Get(ctx, kind, id, now)
	if err != nil {
		return nil, err
	}
	t := m[memoryKey{kind, id}]
	t.claimed = true
	m[memoryKey{kind, id}] = t
	return value, nil
}

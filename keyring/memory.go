package keyring

import (
	"context"
	"slices"
	"sync"
)

// Memory is a Store that forgets when the process ends, for tests and browsers.
type Memory struct {
	mu      sync.Mutex
	records []Record
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{} }

// PutKey implements Store.
func (m *Memory) PutKey(_ context.Context, rec Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.records, func(have Record) bool { return have.Tenant == rec.Tenant && have.ID == rec.ID })
	if i < 0 {
		m.records = append(m.records, rec)
	} else {
		m.records[i] = rec
	}
	return nil
}

// Keys implements Store.
func (m *Memory) Keys(_ context.Context, tenant string, purpose Purpose) ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var records []Record
	for _, rec := range m.records {
		if rec.Tenant == tenant && rec.Purpose == purpose {
			records = append(records, rec)
		}
	}
	return records, nil
}

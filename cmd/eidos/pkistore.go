package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/eidos-id/eidos/internal/record"
)

// fileRecords keeps records in one JSON file, for the keys and revocation lists
// that the pki commands make by hand. One process at a time.
type fileRecords struct {
	mu   sync.Mutex
	path string
}

// fileRecord is one record as the file has it.
type fileRecord struct {
	Tenant string `json:"tenant"`
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Value  []byte `json:"value"`
}

type fileTx struct {
	tenant string
	all    []fileRecord
}

func (f *fileRecords) load() (all []fileRecord, err error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(data, &all)
}

// Update implements record.Store.
func (f *fileRecords) Update(ctx context.Context, tenant string, do func(context.Context, record.Tx) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.load()
	if err != nil {
		return err
	}
	tx := &fileTx{tenant, all}
	if err := do(ctx, tx); err != nil {
		return err
	}
	data, err := json.MarshalIndent(tx.all, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(f.path, data, 0o600)
}

// View implements record.Store.
func (f *fileRecords) View(ctx context.Context, tenant string, do func(context.Context, record.Tx) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.load()
	if err != nil {
		return err
	}
	return do(ctx, &fileTx{tenant, all})
}

// Alone implements record.Store, for one process.
func (f *fileRecords) Alone(ctx context.Context, _, _ string, do func(context.Context) error) error {
	return do(ctx)
}

func (t *fileTx) index(kind, id string) int {
	return slices.IndexFunc(t.all, func(r fileRecord) bool { return r.Tenant == t.tenant && r.Kind == kind && r.ID == id })
}

// Put implements record.Tx.
func (t *fileTx) Put(_ context.Context, kind, id string, value []byte) error {
	r := fileRecord{t.tenant, kind, id, value}
	if i := t.index(kind, id); i >= 0 {
		t.all[i] = r
	} else {
		t.all = append(t.all, r)
	}
	return nil
}

// Get implements record.Tx.
func (t *fileTx) Get(_ context.Context, kind, id string) ([]byte, error) {
	if i := t.index(kind, id); i >= 0 {
		return t.all[i].Value, nil
	}
	return nil, record.ErrNotFound
}

// Epoch implements record.Tx. A folder that was restored has nothing to skip:
// serial numbers are random, those of lists rise with the time.
func (t *fileTx) Epoch() int64 { return 0 }

// List implements record.Tx.
func (t *fileTx) List(_ context.Context, kind string) ([]record.Record, error) {
	var list []record.Record
	for _, r := range t.all {
		if r.Tenant == t.tenant && r.Kind == kind {
			list = append(list, record.Record{ID: r.ID, Value: r.Value})
		}
	}
	slices.SortFunc(list, func(a, b record.Record) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

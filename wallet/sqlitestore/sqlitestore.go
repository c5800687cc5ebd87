// Package sqlitestore keeps what a mdoc app remembers in an SQLite database:
// the wallet.Storage of machines with files.
package sqlitestore

import (
	"context"
	"embed"
	"fmt"
	"os"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/wallet"
)

// Schema is the tables of the database, for package db.
//
//go:embed schema/*.sql
var Schema embed.FS

// Store is a wallet.Storage in a database. Several processes may open one.
type Store struct{ db *db.DB }

// Open opens the database in a file, which is made, readable by its owner
// only, if it is not there.
func Open(ctx context.Context, path string) (*Store, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("wallet storage: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("wallet storage: %w", err)
	}
	d, err := db.Open(ctx, "sqlite:"+path, "wallet", Schema)
	if err != nil {
		return nil, fmt.Errorf("wallet storage: %w", err)
	}
	return &Store{db: d}, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Tx implements wallet.Storage.
func (s *Store) Tx(ctx context.Context, f func(wallet.Txn) error) error {
	return s.db.Tx(ctx, func(_ context.Context, tx *db.Tx) error { return f(txn{tx}) })
}

// View implements wallet.Storage.
func (s *Store) View(ctx context.Context, f func(wallet.Txn) error) error {
	return s.db.View(ctx, func(_ context.Context, tx *db.Tx) error { return f(txn{tx}) })
}

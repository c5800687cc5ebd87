package db

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
)

//go:embed schema/*.sql
var ownSchema embed.FS

// migration is one file of a schema.
type migration struct {
	number int64
	name   string
	text   string
}

// migrate brings the tables of this package and then those of the role up to date.
func (d *DB) migrate(ctx context.Context, role string, schema fs.FS) error {
	if err := d.makeVersionTable(ctx); err != nil {
		return fmt.Errorf("version table: %w", err)
	}
	if err := d.migrateComponent(ctx, "internal/db", ownSchema); err != nil {
		return err
	}
	return d.migrateComponent(ctx, role, schema)
}

// makeVersionTable does it in Tx for its retries: the first connection to a new
// SQLite file turns on its write-ahead log, and SQLite does not wait for others
// that do the same.
func (d *DB) makeVersionTable(ctx context.Context) error {
	create := func() error {
		return d.Tx(ctx, func(ctx context.Context, tx *Tx) error {
			_, err := tx.Exec(ctx, `create table if not exists schema_version (component text primary key, version bigint not null, digest text not null)`)
			return err
		})
	}
	err := create()
	if err != nil && d.engine == postgres { // two processes came at the same moment; now it is there
		err = create()
	}
	return err
}

// migrateComponent applies the migrations that a component lacks, each in a
// transaction with the change of its version, so that of several processes one
// applies it and the others see that.
func (d *DB) migrateComponent(ctx context.Context, component string, schema fs.FS) error {
	all, err := migrations(schema)
	if err != nil {
		return err
	}
	for done := false; !done; {
		err := d.Tx(ctx, func(ctx context.Context, tx *Tx) error {
			done = false
			version, made, err := tx.lockVersion(ctx, component)
			if err != nil {
				return err
			}
			if version > int64(len(all)) {
				return fmt.Errorf("schema of %s has version %d, newer than this release, which knows up to %d", component, version, len(all))
			}
			if made != digest(all[:version]) {
				return fmt.Errorf("schema of %s was made by migrations that have changed since: a development version wrote this database; start with an empty one", component)
			}
			if version == int64(len(all)) {
				done = true
				return nil
			}
			m := all[version]
			if _, err := tx.tx.ExecContext(ctx, m.text); err != nil {
				return fmt.Errorf("migration %s of %s: %w", m.name, component, err)
			}
			_, err = tx.Exec(ctx, `update schema_version set version = $2, digest = $3 where component = $1`,
				component, m.number, digest(all[:m.number]))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lockVersion returns the version of a component, 0 at first, and the digest of
// the migrations that led to it, and holds its row until the transaction ends.
func (t *Tx) lockVersion(ctx context.Context, component string) (version int64, made string, err error) {
	const q = `update schema_version set version = version where component = $1 returning version, digest`
	err = t.QueryRow(ctx, q, component).Scan(&version, &made)
	if errors.Is(err, sql.ErrNoRows) {
		made = digest(nil)
		_, err = t.Exec(ctx, `insert into schema_version (component, version, digest) values ($1, 0, $2)`, component, made)
	}
	return version, made, err
}

// digest is over the text of migrations: those that were applied somewhere must
// never change, or two databases of one version would differ.
func digest(applied []migration) string {
	h := sha256.New()
	for _, m := range applied {
		fmt.Fprintf(h, "%s %d\n%s", m.name, len(m.text), m.text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

var migrationName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)

// migrations reads a schema: files 0001_name.sql, 0002_name.sql, … without a gap.
func migrations(schema fs.FS) ([]migration, error) {
	entries, err := fs.ReadDir(schema, ".")
	if err == nil && len(entries) == 1 && entries[0].IsDir() { // go:embed schema/*.sql
		if schema, err = fs.Sub(schema, entries[0].Name()); err == nil {
			entries, err = fs.ReadDir(schema, ".")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	var all []migration
	for _, e := range entries {
		m := migrationName.FindStringSubmatch(e.Name())
		if m == nil {
			return nil, fmt.Errorf("schema: %s is not named NNNN_name.sql", e.Name())
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("schema: %s: %w", e.Name(), err)
		}
		text, err := fs.ReadFile(schema, e.Name())
		if err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		all = append(all, migration{n, e.Name(), string(text)})
	}
	slices.SortFunc(all, func(a, b migration) int { return cmp.Compare(a.number, b.number) })
	for i, m := range all {
		if m.number != int64(i+1) {
			return nil, fmt.Errorf("schema: %s stands where number %04d should", m.name, i+1)
		}
	}
	return all, nil
}

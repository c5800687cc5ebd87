package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// TableWithoutData is the table whose rows a backup by other means than Backup
// has to leave out: pg_dump --exclude-table-data='*.life'.
const TableWithoutData = "life"

// keptForever is the end of single-use things that are no such things: pins and
// copies of lists. They survive a restore.
var keptForever = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

// revive begins a new epoch if the database was restored from a backup.
//
// What happened after the backup is not in it, and must not happen twice:
// single-use things that were open then are used up now, since they may have
// been used; numbers and positions go on past the epoch (Tx.Epoch), since they
// may have been given out. It may be called by several processes at once.
func (d *DB) revive(ctx context.Context) error {
	err := d.View(ctx, d.readEpoch)
	if errors.Is(err, sql.ErrNoRows) {
		err = d.Tx(ctx, d.begin)
	}
	if IsDuplicate(err) { // another process was faster
		err = d.View(ctx, d.readEpoch)
	}
	return err
}

func (d *DB) readEpoch(ctx context.Context, tx *Tx) error {
	d.revived = false
	return tx.QueryRow(ctx, `select epoch from life`).Scan(&d.epoch)
}

// begin begins an epoch unless another process has.
func (d *DB) begin(ctx context.Context, tx *Tx) error {
	if err := d.readEpoch(ctx, tx); !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	d.revived, d.epoch = true, time.Now().UnixMilli()
	if _, err := tx.Exec(ctx, `update once set claimed = $1 where claimed is null and expires < $2`, d.epoch, keptForever.UnixMilli()); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `delete from lease`); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `insert into life (id, epoch) values (0, $1)`, d.epoch)
	return err
}

// Restored is when the database was restored from a backup last, zero if never.
func (d *DB) Restored() time.Time { return Time(d.epoch) }

// Revived reports whether it was this Open that found the database restored.
func (d *DB) Revived() bool { return d.revived }

// MarkRestored says of a database that it was restored from a backup that was
// made without leaving out TableWithoutData: it begins a new epoch. No process
// may work on it meanwhile.
func (d *DB) MarkRestored(ctx context.Context) error {
	err := d.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, `delete from life`)
		return err
	})
	if err == nil {
		err = d.revive(ctx)
	}
	if err != nil {
		return fmt.Errorf("db: mark as restored: %w", err)
	}
	return nil
}

// ErrNotHere: the engine has programs of its own for it.
var ErrNotHere = errors.New("db: PostgreSQL is backed up with pg_dump")

// Backup writes a copy of a SQLite database to a new file, consistent and while
// others go on reading and writing. Whoever opens the copy finds that it was
// restored. Error: ErrNotHere for PostgreSQL; os.ErrExist.
func (d *DB) Backup(ctx context.Context, path string) error {
	if d.engine != sqlite {
		return ErrNotHere
	}
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("db: backup: %s: %w", path, os.ErrExist)
	}
	if err := d.backup(ctx, path); err != nil {
		return errors.Join(fmt.Errorf("db: backup: %w", err), os.Remove(path))
	}
	return nil
}

func (d *DB) backup(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // VACUUM takes an empty file
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := d.copyInto(ctx, path); err != nil {
		return err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}
	file, err := sql.Open("sqlite", u.String())
	if err != nil {
		return err
	}
	var sound string
	_, err = file.ExecContext(ctx, `delete from life`)
	if err == nil {
		err = file.QueryRowContext(ctx, `pragma integrity_check`).Scan(&sound)
	}
	if err == nil && sound != "ok" {
		err = fmt.Errorf("the copy is not sound: %s", sound)
	}
	return errors.Join(err, file.Close())
}

// copyInto copies through one of the connections that read, so that nobody
// waits; to SQLite it is writing all the same.
func (d *DB) copyInto(ctx context.Context, path string) error {
	conn, err := d.read.Conn(ctx)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `pragma query_only = 0`)
	if err == nil {
		_, err = conn.ExecContext(ctx, `vacuum into ?`, path)
	}
	_, again := conn.ExecContext(context.WithoutCancel(ctx), `pragma query_only = 1`)
	if again != nil { // it must not come back to the others so
		again = errors.Join(again, conn.Raw(func(any) error { return driver.ErrBadConn }))
	}
	return errors.Join(err, again, conn.Close())
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/monitor"
)

// dbCmd looks after the databases of roles.
type dbCmd struct {
	Backup   dbBackupCmd   `cmd:"" help:"Copy the SQLite databases, also while the roles serve."`
	Restored dbRestoredCmd `cmd:"" help:"Say that databases were restored from a backup, where the backup does not say so itself (pg_dump without --exclude-table-data='*.life')."`
}

// rolesWithRows are the schemas of all roles that serve others.
func rolesWithRows() map[string]fs.FS {
	all := booksSchemas()
	all[roleMonitor] = monitor.Schema
	return all
}

type dbBackupCmd struct {
	Data   string `default:"${data}" type:"path" help:"Folder of databases and keys."`
	Config string `short:"c" type:"path" placeholder:"FILE" help:"Configuration; see eidos config doc."`
	resultFlag
	Keys bool   `help:"Copy the secure areas with their device secrets, too: whoever has such a backup has the keys."`
	Out  string `short:"o" required:"" type:"path" placeholder:"DIR" help:"Write the copies here, laid out as the data folder is."`
}

// Run copies each role's database, then its secure area, so that no key that a
// row names is missing.
func (c *dbBackupCmd) Run(m *machine) error {
	h, err := m.shellHouse(c.Config, c.Data)
	if err != nil {
		return err
	}
	defer h.close()
	if h.postgres() {
		return hint(db.ErrNotHere, "pg_dump --exclude-table-data='*.%s' …; docs/operate.md, Backup, has the rest", db.TableWithoutData)
	}
	var wrote, lines []string
	for _, role := range allRoles() {
		schema, ok := rolesWithRows()[role]
		from := filepath.Join(c.Data, role)
		if _, err := os.Stat(filepath.Join(from, role+".db")); !ok || err != nil {
			continue // has no rows for others, or never ran here
		}
		to := filepath.Join(c.Out, role)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
		d, _, err := h.open(m.ctx, role, schema)
		if err != nil {
			return err
		}
		name := filepath.Join(to, role+".db")
		if err := d.Backup(m.ctx, name); errors.Is(err, os.ErrExist) {
			return hint(err, "each backup goes into a folder of its own")
		} else if err != nil {
			return err
		}
		wrote, lines = append(wrote, name), append(lines, "wrote "+name)
		if !c.Keys {
			continue
		}
		if err := copyKeys(from, to); err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("wrote %s and device.secret beside it: keep them as safe as the keys", filepath.Join(to, "keys")))
	}
	if len(wrote) == 0 {
		return usage("no role has run from %s", c.Data)
	}
	if !c.Keys {
		lines = append(lines, fmt.Sprintf("the keys stay where they are: without device.secret and keys of each folder in %s these copies are of no use", c.Data))
	}
	return c.say(m, struct {
		Files []string `json:"files"`
		Keys  bool     `json:"keys"` // were copied, too
	}{wrote, c.Keys}, "%s", strings.Join(lines, "\n"))
}

// copyKeys copies a secure area. Keys that come or go meanwhile do no harm: the
// database was copied before.
func copyKeys(from, to string) error {
	secret, err := os.ReadFile(filepath.Join(from, "device.secret"))
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(to, "device.secret"), secret, 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(to, "keys"), 0o700); err != nil {
		return err
	}
	return filepath.WalkDir(filepath.Join(from, "keys"), func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(to, rel), data, 0o600)
	})
}

type dbRestoredCmd struct {
	Data   string `default:"${data}" type:"path" help:"Folder of databases and keys."`
	Config string `short:"c" type:"path" placeholder:"FILE" help:"Configuration; see eidos config doc."`
	resultFlag
	Role string `required:"" enum:"all,issuer,provider,verifier,trust,monitor" help:"Whose database: all, or one of issuer, provider, verifier, trust, monitor."`
}

// Run marks databases as restored. Nothing may be serving from them.
func (c *dbRestoredCmd) Run(m *machine) error {
	h, err := m.shellHouse(c.Config, c.Data)
	if err != nil {
		return err
	}
	defer h.close()
	var restored, lines []string
	for _, role := range allRoles() {
		schema, ok := rolesWithRows()[role]
		if _, err := os.Stat(filepath.Join(c.Data, role)); !ok || err != nil || c.Role != "all" && c.Role != role {
			continue
		}
		d, area, err := h.open(m.ctx, role, schema)
		if err != nil {
			return err
		}
		if !d.Revived() { // else opening has found out by itself
			if err := d.MarkRestored(m.ctx); err != nil {
				return err
			}
			if err := h.noteRestored(m.ctx, role, d, area); err != nil {
				return err
			}
		}
		restored = append(restored, role)
		lines = append(lines, role+": restored; what was open at the backup is void, numbers and places in lists go on past it")
	}
	if len(restored) == 0 {
		return usage("no such role has run from %s", c.Data)
	}
	return c.say(m, map[string][]string{"restored": restored}, "%s", strings.Join(lines, "\n"))
}

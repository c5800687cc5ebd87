package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/provider"
	"github.com/eidos-id/eidos/trust"
	"github.com/eidos-id/eidos/verifier"
)

// auditCmd looks into what roles have decided, and whether somebody has changed
// the books since.
type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check all chains and checkpoints; say what was changed, inserted or taken out, and where."`
	Show   auditShowCmd   `cmd:"" help:"List events, the newest last."`
}

// auditOf says whose books are meant.
type auditOf struct {
	Data   string `default:"${data}" type:"path" help:"Folder of databases and keys."`
	Config string `short:"c" type:"path" placeholder:"FILE" help:"Configuration; see eidos config doc."`
	Role   string `enum:"issuer,provider,verifier,trust," default:"" help:"Only this role: issuer, provider, verifier or trust."`
	DB     string `name:"db" placeholder:"DSN" help:"This database, sqlite:PATH or postgres://…, instead of that of the configuration; needs --role. Without the secure area signatures are not checked."`
}

// booksSchemas are the schemas of the roles that keep an audit.
func booksSchemas() map[string]fs.FS {
	return map[string]fs.FS{roleIssuer: issuer.Schema, roleProvider: provider.Schema, roleVerifier: verifier.Schema, roleTrust: trust.Schema}
}

// books is an open database with the keys that its checkpoints are signed with.
type books struct {
	role string
	db   *db.DB
	ring *keyring.Ring // nil without secure area
}

// open opens what is meant; done closes it.
func (c auditOf) open(m *machine) (all []books, done func() error, err error) {
	schemas := booksSchemas()
	if c.DB != "" {
		if c.Role == "" {
			return nil, nil, usage("--db needs --role, for its tables")
		}
		if path, ok := strings.CutPrefix(c.DB, "sqlite:"); ok {
			if _, err := os.Stat(path); err != nil {
				return nil, nil, usage("no database there: %v", err)
			}
		}
		d, err := db.Open(m.ctx, c.DB, c.Role, schemas[c.Role])
		if err != nil {
			return nil, nil, err
		}
		return []books{{role: c.Role, db: d}}, d.Close, nil
	}
	h, err := m.shellHouse(c.Config, c.Data)
	if err != nil {
		return nil, nil, err
	}
	for _, role := range slices.Sorted(maps.Keys(schemas)) {
		if c.Role != "" && c.Role != role {
			continue
		}
		if _, err := os.Stat(filepath.Join(c.Data, role)); err != nil {
			continue // never ran here
		}
		d, area, err := h.open(m.ctx, role, schemas[role])
		if err != nil {
			h.close()
			return nil, nil, err
		}
		all = append(all, books{role, d, keyring.New(area, keyring.StoreIn(d.Records()))})
	}
	if len(all) == 0 {
		h.close()
		return nil, nil, usage("no role has run from %s", c.Data)
	}
	return all, h.close, nil
}

type auditVerifyCmd struct {
	auditOf
	Since string `type:"existingfile" placeholder:"FILE" help:"What --save has written earlier and somebody has kept elsewhere: it has to hold still."`
	Save  string `type:"path" placeholder:"FILE" help:"If nothing is wrong, write the newest rows of all chains here, to be kept elsewhere."`
	JSON  bool   `help:"Print the reports as JSON."`
}

// keptHeads is the content of the file of --save, by role.
type keptHeads map[string]audit.Heads

// Run checks; status 1 if something is wrong.
func (c *auditVerifyCmd) Run(m *machine) error {
	since := keptHeads{}
	if c.Since != "" {
		data, err := os.ReadFile(c.Since)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(data, &since); err != nil {
			return usage("%s was not written by eidos audit verify --save: %v", c.Since, err)
		}
	}
	all, done, err := c.open(m)
	if err != nil {
		return err
	}
	defer done()
	reports, kept, good := map[string]audit.Report{}, keptHeads{}, true
	for _, b := range all {
		o := audit.CheckOptions{Now: m.now(), Known: since[b.role]}
		if b.ring != nil {
			o.Verify = b.ring.VerifyAudit
		}
		r, err := audit.Check(m.ctx, b.db, o)
		if err != nil {
			return err
		}
		reports[b.role], kept[b.role] = r, r.Heads
		good = good && len(r.Problems) == 0
		if !c.JSON {
			printReport(m, b.role, r)
		}
	}
	if c.JSON {
		if err := m.json(reports); err != nil {
			return err
		}
	}
	if !good {
		return errSilent
	}
	if c.Save == "" {
		return nil
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return writeFile(c.Save, append(data, '\n'), 0o644)
}

func printReport(m *machine, role string, r audit.Report) {
	rows, open := int64(0), int64(0)
	for _, chain := range r.Chains {
		rows += chain.Rows
		open += max(0, chain.Rows-chain.Sealed)
	}
	verdict := "as written"
	if len(r.Problems) > 0 {
		verdict = "NOT as written"
	}
	signatures := ""
	if !r.Signatures {
		signatures = ", whose signatures were not checked"
	}
	fmt.Fprintf(m.out, "%s: %s: %d rows in %d chains, %d checkpoints%s, %d rows after the last ones\n",
		role, verdict, rows, len(r.Chains), r.Checkpoints, signatures, open)
	for _, p := range r.Problems {
		fmt.Fprintf(m.out, "  %s, row %d: %s\n", visible(p.Chain), p.Row, visible(p.What))
	}
}

type auditShowCmd struct {
	auditOf
	Tenant string        `help:"Only of this tenant."`
	What   string        `help:"Only this, such as 'document issued'."`
	Actor  string        `placeholder:"ID" help:"Only by this one."`
	Object string        `placeholder:"ID" help:"Only about this one: a document, a key."`
	Last   time.Duration `placeholder:"DURATION" help:"Only the last hours or minutes, such as 24h."`
	Limit  int           `default:"100" help:"At most as many of each role."`
	JSON   bool          `help:"Print one event a line as JSON."`
}

// Run lists events.
func (c *auditShowCmd) Run(m *machine) error {
	if c.Limit < 1 {
		return usage("--limit: wanted 1 or more")
	}
	all, done, err := c.open(m)
	if err != nil {
		return err
	}
	defer done()
	filter := audit.Filter{Tenant: c.Tenant, What: c.What, Actor: c.Actor, Object: c.Object, Limit: c.Limit}
	if c.Last > 0 {
		filter.Since = m.now().Add(-c.Last)
	}
	for _, b := range all {
		var list []audit.Entry
		err := b.db.View(m.ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			list, err = audit.Events(ctx, tx, filter)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range list {
			if c.JSON {
				if err := m.json(struct {
					Role string `json:"role"`
					audit.Entry
				}{b.role, e}); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintln(m.out, visible(eventLine(b.role, e)))
		}
	}
	return nil
}

// eventLine is an event for people.
func eventLine(role string, e audit.Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-8s  %s", e.Time.Format("2006-01-02 15:04:05"), role, e.What)
	if e.Tenant != "" {
		fmt.Fprintf(&b, "  [%s]", e.Tenant)
	}
	if e.Object != "" {
		fmt.Fprintf(&b, "  %s", e.Object)
	}
	if e.Actor != "" {
		fmt.Fprintf(&b, "  by %s", e.Actor)
	}
	for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
		fmt.Fprintf(&b, "  %s=%s", k, e.Detail[k])
	}
	return b.String()
}

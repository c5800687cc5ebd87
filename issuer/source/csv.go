package source

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/doctype"
)

// Columns that are not attributes, or not attributes in text form.
const (
	columnID        = "id"
	columnCode      = "enrolment_code"
	columnDeceased  = "deceased"
	columnChanged   = "changed"
	columnPortrait  = "portrait"
	columnSignature = "signature_usual_mark"
)

// Limits of registers.
const (
	maxFile    = 256 << 20
	maxRows    = 1_000_000
	maxColumns = 256
	maxCell    = 16 << 10
)

// CSV is a register kept as a file of comma-separated values (RFC 4180, UTF-8).
//
// The first row names the columns: attributes by their name, which is best the
// data element identifier, such as family_name. These columns are special:
//
//	id                    identifies the person; required, unique
//	portrait              path of a JPEG file, relative to the register and
//	signature_usual_mark  inside its directory
//	enrolment_code        the person's secret for enrolment
//	deceased              YYYY-MM-DD, empty for the living
//	changed               YYYY-MM-DD or RFC 3339: when the row was last changed;
//	                      without it, when the file was
//
// Cells hold the text form of doctype.Shape.ParseText: several nationalities
// as "DE;FR", driving privileges as "B,2017-02-23,2024-10-20;AM". A column with
// the name of an element of a known document type is checked against it when
// the file is read. An empty cell is an absent attribute.
//
// The file is read again when its time or size changes; while it is not valid
// all methods fail. Images are read when a person is looked up. A CSV may be
// used by several goroutines.
type CSV struct {
	path    string
	options Options

	reload  sync.Mutex // held while reading the file
	current atomic.Pointer[register]

	checkedMu sync.Mutex
	checked   map[string]stamp // images that were decoded already
}

// Options configure OpenCSV. The zero Options are fine.
type Options struct {
	// Types are the document types whose elements give columns their form.
	// Optional, the built-in ones.
	Types []*doctype.Type
	// MaxImage is the most bytes of an image file. Optional, 256 KiB.
	MaxImage int
}

// CellError says which cell of a register is wrong. It never holds what the
// cell contains.
type CellError struct {
	File   string // base name
	Row    int    // 1 is the header
	Column string // empty if the row as a whole is meant
	Err    error
}

// Error names the file, the row and the column.
func (e *CellError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("%s: row %d: %v", e.File, e.Row, e.Err)
	}
	return fmt.Sprintf("%s: row %d, column %s: %v", e.File, e.Row, e.Column, e.Err)
}

// Unwrap returns what is wrong.
func (e *CellError) Unwrap() error { return e.Err }

// stamp tells one state of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(info os.FileInfo) stamp { return stamp{info.ModTime(), info.Size()} }

// register is one reading of the file. It is not changed any more.
type register struct {
	stamp   stamp
	people  map[string]*record
	ids     []string // sorted
	columns []string
}

// record is one row.
type record struct {
	cells    []string // as in columns
	code     string
	deceased time.Time
	changed  time.Time
}

// OpenCSV reads a register and checks every row of it. The error is a
// *CellError where a cell is to blame.
func OpenCSV(path string, o Options) (*CSV, error) {
	if o.Types == nil {
		o.Types = doctype.All()
	}
	if o.MaxImage == 0 {
		o.MaxImage = 256 << 10
	}
	c := &CSV{path: path, options: o, checked: map[string]stamp{}}
	if _, err := c.register(); err != nil {
		return nil, err
	}
	return c, nil
}

// Find implements Source.
func (c *CSV) Find(ctx context.Context, id string) (Person, error) {
	if err := ctx.Err(); err != nil {
		return Person{}, err
	}
	r, err := c.register()
	if err != nil {
		return Person{}, err
	}
	rec, ok := r.people[id]
	if !ok {
		return Person{}, fmt.Errorf("find in %s: %w", filepath.Base(c.path), ErrNotFound)
	}
	p := Person{
		ID: id, Attributes: make(map[string]any, len(rec.cells)),
		Changed: rec.changed, Deceased: rec.deceased, EnrolmentCode: rec.code,
	}
	for i, column := range r.columns {
		cell := rec.cells[i]
		if cell == "" || isSpecial(column) {
			continue
		}
		if !isImage(column) {
			p.Attributes[column] = cell
			continue
		}
		data, modified, err := c.image(cell)
		if err != nil {
			p.Attributes = nil
			return p, fmt.Errorf("%s, column %s: %w", filepath.Base(c.path), column, err)
		}
		p.Attributes[column] = data
		if modified.After(p.Changed) {
			p.Changed = modified
		}
	}
	return p, nil
}

// IDs implements Source.
func (c *CSV) IDs(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := c.register()
	if err != nil {
		return nil, err
	}
	return slices.Clone(r.ids), nil
}

// register returns the current reading of the file, a new one if it changed.
func (c *CSV) register() (*register, error) {
	info, err := os.Stat(c.path)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	if r := c.current.Load(); r != nil && r.stamp == stampOf(info) {
		return r, nil
	}
	c.reload.Lock()
	defer c.reload.Unlock()
	old := c.current.Load()
	f, err := os.Open(c.path)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	if old != nil && old.stamp == stampOf(info) {
		return old, nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("register %s: larger than %d bytes", filepath.Base(c.path), maxFile)
	}
	r, err := parse(filepath.Base(c.path), data, c.options.Types, info.ModTime())
	if err != nil {
		return nil, err
	}
	r.stamp = stampOf(info)
	r.keepTimes(old)
	c.current.Store(r)
	return r, nil
}

// keepTimes leaves the time of change of rows that are as they were.
func (r *register) keepTimes(old *register) {
	if old == nil || !slices.Equal(r.columns, old.columns) || slices.Contains(r.columns, columnChanged) {
		return
	}
	for id, rec := range r.people {
		if before := old.people[id]; before != nil && slices.Equal(rec.cells, before.cells) {
			rec.changed = before.changed
		}
	}
}

// parse reads a register that was last modified at the given time.
func parse(file string, data []byte, types []*doctype.Type, modified time.Time) (*register, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	reader := csv.NewReader(bytes.NewReader(data))
	header, err := reader.Read()
	if err != nil {
		return nil, &CellError{File: file, Row: 1, Err: readError(err)}
	}
	if err := checkHeader(file, header); err != nil {
		return nil, err
	}
	r := &register{people: map[string]*record{}, columns: header}
	forms := make([][]doctype.Element, len(header))
	for i, column := range header {
		if !isSpecial(column) && !isImage(column) {
			forms[i] = elementsNamed(column, types)
		}
	}
	for row := 2; ; row++ {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &CellError{File: file, Row: row, Err: readError(err)}
		}
		if row > maxRows+1 {
			return nil, &CellError{File: file, Row: row, Err: fmt.Errorf("more than %d rows", maxRows)}
		}
		rec := &record{cells: cells, changed: modified}
		id := ""
		for i, column := range header {
			if column == columnID {
				id = cells[i]
			}
			if err := rec.read(column, cells[i], forms[i]); err != nil {
				return nil, &CellError{File: file, Row: row, Column: column, Err: err}
			}
		}
		if r.people[id] != nil {
			return nil, &CellError{File: file, Row: row, Column: columnID, Err: errors.New("given before")}
		}
		r.people[id] = rec
	}
	r.ids = slices.Collect(maps.Keys(r.people))
	sort.Strings(r.ids)
	return r, nil
}

// readError says what is wrong with a row, without its content.
func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("no header")
	}
	if pe := (*csv.ParseError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func checkHeader(file string, header []string) error {
	if len(header) > maxColumns {
		return &CellError{File: file, Row: 1, Err: fmt.Errorf("%d columns, at most %d", len(header), maxColumns)}
	}
	seen := map[string]bool{}
	for i, column := range header {
		if !isColumn(column) {
			return &CellError{File: file, Row: 1, Err: fmt.Errorf("column %d: name empty or not of letters, digits, \"_\", \"-\" and \".\"", i+1)}
		}
		if seen[column] {
			return &CellError{File: file, Row: 1, Column: column, Err: errors.New("given twice")}
		}
		seen[column] = true
	}
	if !seen[columnID] {
		return &CellError{File: file, Row: 1, Column: columnID, Err: errors.New("missing")}
	}
	return nil
}

// read checks a cell and takes what is special in it.
func (rec *record) read(column, cell string, forms []doctype.Element) error {
	if len(cell) > maxCell {
		return fmt.Errorf("longer than %d bytes", maxCell)
	}
	if !utf8.ValidString(cell) {
		return errors.New("not UTF-8")
	}
	if column == columnID {
		if cell == "" || len(cell) > 128 || strings.TrimSpace(cell) != cell || strings.ContainsFunc(cell, isControl) {
			return errors.New("empty, too long, or with outer spaces or control characters")
		}
		return nil
	}
	if cell == "" {
		return nil
	}
	switch {
	case column == columnCode:
		rec.code = cell
	case column == columnDeceased:
		d, err := cbor.ParseFullDate(cell)
		if err != nil {
			return errors.New("wanted YYYY-MM-DD")
		}
		rec.deceased = d.Time()
	case column == columnChanged:
		t, err := time.Parse(time.RFC3339, cell)
		if d, dateErr := cbor.ParseFullDate(cell); dateErr == nil {
			t, err = d.Time(), nil
		}
		if err != nil {
			return errors.New("wanted YYYY-MM-DD or an RFC 3339 time")
		}
		rec.changed = t.UTC()
	case isImage(column):
		if !filepath.IsLocal(filepath.FromSlash(cell)) {
			return errors.New("wanted a path inside the directory of the register")
		}
	default:
		return checkForm(cell, forms)
	}
	return nil
}

// elementsNamed returns the elements that a column is named after.
func elementsNamed(column string, types []*doctype.Type) []doctype.Element {
	var out []doctype.Element
	for _, t := range types {
		for i := range t.Namespaces {
			if e, ok := t.Element(t.Namespaces[i].Name, column); ok && e.ID == column {
				out = append(out, e)
			}
		}
	}
	return out
}

// checkForm asks that a cell fits one of the elements of that name. The error
// is that of the first.
func checkForm(cell string, forms []doctype.Element) error {
	var first error
	for i := range forms {
		_, err := forms[i].Encode(cell)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func isSpecial(column string) bool {
	switch column {
	case columnID, columnCode, columnDeceased, columnChanged:
		return true
	}
	return false
}

func isImage(column string) bool { return column == columnPortrait || column == columnSignature }

func isColumn(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.'
	})
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

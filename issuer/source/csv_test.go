package source

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/doctype"
)

var _ Source = (*CSV)(nil)

const small = `id,family_name,birth_date,sex,nationality,driving_privileges,portrait,enrolment_code,deceased,shoe_size
a,Sommer,1984-03-17,2,UT;CH,"B,2002-05-14,2036-04-01",face.jpg,123456,,37
b,Winter,1990-01-02,,UT,,,,2026-01-05,
`

func picture(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 35, 45)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// put writes a file with a time of change that differs on every call.
func put(t testing.TB, path string, data []byte, at time.Time) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

var day = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, register string, o Options) (*CSV, string, error) {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "face.jpg"), picture(t), day.Add(-time.Hour))
	path := filepath.Join(dir, "people.csv")
	put(t, path, []byte(register), day)
	c, err := OpenCSV(path, o)
	return c, path, err
}

func TestFind(t *testing.T) {
	c, _, err := open(t, "\ufeff"+small, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	ids, err := c.IDs(ctx)
	if err != nil || !cmp.Equal(ids, []string{"a", "b"}) {
		t.Fatalf("IDs: %v, %v", ids, err)
	}
	a, err := c.Find(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	want := Person{ID: "a", Changed: day, EnrolmentCode: "123456", Attributes: map[string]any{
		"family_name": "Sommer", "birth_date": "1984-03-17", "sex": "2", "nationality": "UT;CH",
		"driving_privileges": "B,2002-05-14,2036-04-01", "portrait": picture(t), "shoe_size": "37",
	}}
	a.Changed = a.Changed.UTC()
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("person (-want +got):\n%s", diff)
	}
	b, err := c.Find(ctx, "b")
	if err != nil || len(b.Attributes) != 3 || !b.Deceased.Equal(time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("b: %v, %v", b, err)
	}
	if _, err := c.Find(ctx, "c"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown person: %v", err)
	}
}

func TestReload(t *testing.T) {
	c, path, err := open(t, small, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	later := day.Add(time.Hour)
	put(t, path, []byte(strings.Replace(small, "Winter", "Sommer-Winter", 1)), later)
	a, errA := c.Find(ctx, "a")
	b, errB := c.Find(ctx, "b")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if !a.Changed.Equal(day) || !b.Changed.Equal(later) || b.Attributes["family_name"] != "Sommer-Winter" {
		t.Errorf("a changed %v, b changed %v", a.Changed, b.Changed)
	}
	put(t, path, []byte("id\na\na\n"), later.Add(time.Hour))
	if _, err := c.Find(ctx, "a"); err == nil {
		t.Error("an invalid register answered")
	}
	put(t, path, []byte(small), later.Add(2*time.Hour))
	if _, err := c.Find(ctx, "a"); err != nil {
		t.Errorf("mended register: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Find(ctx, "a"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("missing register: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		row      int
		column   string
	}{
		"bad date":          {"1990-01-02", "1990-13-02", 3, "birth_date"},
		"bad list":          {"UT;CH", "UT;Helvetia", 2, "nationality"},
		"bad privileges":    {"B,2002", "B,02", 2, "driving_privileges"},
		"id twice":          {"\nb,", "\na,", 3, "id"},
		"no id":             {"\nb,", "\n,", 3, "id"},
		"path outside":      {"face.jpg", "../face.jpg", 2, "portrait"},
		"absolute path":     {"face.jpg", "/etc/passwd", 2, "portrait"},
		"bad day of death":  {"2026-01-05", "yesterday", 3, "deceased"},
		"column twice":      {"sex,", "family_name,", 1, "family_name"},
		"no column id":      {"id,", "key,", 1, "id"},
		"odd column":        {"sex,", "se x,", 1, ""},
		"short row":         {"2026-01-05,", "2026-01-05", 3, ""},
		"stray quote":       {`"B,2002`, `"B"2002`, 2, ""},
		"control in a name": {"Winter", "Win\x01ter", 3, "family_name"},
		"not UTF-8":         {"Winter", "Win\xffter", 3, "family_name"},
	} {
		_, _, err := open(t, strings.Replace(small, c.old, c.new, 1), Options{})
		cell := (*CellError)(nil)
		if !errors.As(err, &cell) || cell.Row != c.row || cell.Column != c.column {
			t.Errorf("%s: %v, want row %d, column %q", name, err, c.row, c.column)
			continue
		}
		for _, secret := range []string{"Helvetia", "yesterday", "1990-13", "passwd", "Winter"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: error tells what the cell holds: %v", name, err)
			}
		}
	}
	if _, _, err := open(t, "", Options{}); err == nil {
		t.Error("an empty file is a register")
	}
}

func TestImages(t *testing.T) {
	ctx := context.Background()
	good := picture(t)
	for name, data := range map[string][]byte{
		"not JPEG":  []byte("GIF89a, or so"),
		"cut short": good[:len(good)/2],
		"too large": append(bytes.Clone(good), make([]byte, 4096)...),
	} {
		c, path, err := open(t, small, Options{MaxImage: 4096})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Find(ctx, "a"); err != nil {
			t.Errorf("good image: %v", err)
		}
		put(t, filepath.Join(filepath.Dir(path), "face.jpg"), data, day)
		if _, err := c.Find(ctx, "a"); !errors.Is(err, ErrImage) || strings.Contains(err.Error(), "face") {
			t.Errorf("%s: %v, want ErrImage without the file name", name, err)
		}
	}
	c, path, err := open(t, small, Options{})
	if err != nil {
		t.Fatal(err)
	}
	face, outside := filepath.Join(filepath.Dir(path), "face.jpg"), filepath.Join(t.TempDir(), "other.jpg")
	put(t, outside, good, day)
	if err := os.Remove(face); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, face); err != nil {
		t.Skip("this file system has no symbolic links")
	}
	if _, err := c.Find(ctx, "a"); !errors.Is(err, ErrImage) {
		t.Errorf("link out of the directory: %v, want ErrImage", err)
	}
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("id\n\"\n"))
	f.Add([]byte("id,portrait,changed\nx,a.jpg,2024-01-01T00:00:00Z\n"))
	types := doctype.All()
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parse("people.csv", data, types, day)
		if err != nil {
			if cell := (*CellError)(nil); !errors.As(err, &cell) {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		if len(r.ids) != len(r.people) {
			t.Fatalf("%d ids of %d people", len(r.ids), len(r.people))
		}
		for id, rec := range r.people {
			if id == "" || len(rec.cells) != len(r.columns) {
				t.Fatalf("person without id or with %d of %d cells", len(rec.cells), len(r.columns))
			}
		}
	})
}

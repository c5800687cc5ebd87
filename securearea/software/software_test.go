package software_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/securearea"
	"github.com/eidos-id/eidos/securearea/areatest"
	"github.com/eidos-id/eidos/securearea/software"
)

var secret = bytes.Repeat([]byte("s3cr"), 8)

func open(t testing.TB, o software.Options) *software.Area {
	t.Helper()
	a, err := software.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func one(t testing.TB, a *software.Area, q securearea.Request) securearea.KeyInfo {
	t.Helper()
	infos, err := a.Create(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return infos[0]
}

func signs(t testing.TB, a *software.Area, info securearea.KeyInfo) error {
	t.Helper()
	signature, err := a.Sign(t.Context(), info.ID, []byte("m"), securearea.Unlock{})
	if err != nil {
		return err
	}
	return key.Verify(info.Public, []byte("m"), signature)
}

func directory(t testing.TB, path string) *software.Directory {
	t.Helper()
	d, err := software.OpenDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMemory(t *testing.T) {
	areatest.Run(t, func(t *testing.T) securearea.Area {
		return open(t, software.Options{Storage: software.NewMemory(), Secret: secret})
	})
}

func TestDirectoryWithSmallCache(t *testing.T) {
	areatest.Run(t, func(t *testing.T) securearea.Area {
		return open(t, software.Options{Storage: directory(t, t.TempDir()), Secret: secret, Cache: 1})
	})
}

func TestWithoutCache(t *testing.T) {
	a := open(t, software.Options{Storage: software.NewMemory(), Secret: secret, Cache: -1})
	info := one(t, a, securearea.Request{Curve: securearea.P256, Purpose: securearea.Sign})
	for range 2 {
		if err := signs(t, a, info); err != nil {
			t.Error(err)
		}
	}
}

// Keys come back after a restart, and only with the right secret.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	info := one(t, open(t, software.Options{Storage: directory(t, path), Secret: secret}),
		securearea.Request{Curve: securearea.P256, Purpose: securearea.Sign})

	if err := signs(t, open(t, software.Options{Storage: directory(t, path), Secret: secret}), info); err != nil {
		t.Error(err)
	}
	other := bytes.Repeat([]byte("x"), 32)
	for name, o := range map[string]software.Options{
		"another secret":          {Storage: directory(t, path), Secret: other},
		"a passphrase, no secret": {Storage: directory(t, path), Passphrase: []byte("pass")},
	} {
		if _, err := software.Open(t.Context(), o); !errors.Is(err, securearea.ErrLocked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, o := range map[string]software.Options{
		"short secret": {Storage: software.NewMemory(), Secret: secret[:31]},
		"neither":      {Storage: software.NewMemory()},
		"both":         {Storage: software.NewMemory(), Secret: secret, Passphrase: []byte("p")},
		"no storage":   {Secret: secret},
	} {
		if _, err := software.Open(t.Context(), o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestPassphrase(t *testing.T) {
	storage := software.NewMemory()
	info := one(t, open(t, software.Options{Storage: storage, Passphrase: []byte("right")}),
		securearea.Request{Curve: securearea.P384, Purpose: securearea.Sign})
	if _, err := software.Open(t.Context(), software.Options{Storage: storage, Passphrase: []byte("wrong")}); !errors.Is(err, securearea.ErrLocked) {
		t.Errorf("wrong passphrase: %v", err)
	}
	a := open(t, software.Options{Storage: storage, Passphrase: []byte("right")})
	if err := signs(t, a, info); err != nil {
		t.Error(err)
	}
	ids, err := a.Keys(t.Context())
	if err != nil || len(ids) != 1 || ids[0] != info.ID {
		t.Errorf("Keys: %v, %v", ids, err)
	}
}

// spy remembers everything that was ever stored.
type spy struct {
	*software.Memory
	seen map[string][]byte
}

func (s *spy) Put(ctx context.Context, name string, value []byte) error {
	s.seen[name] = append([]byte(nil), value...)
	return s.Memory.Put(ctx, name, value)
}

// meddling runs a function once, between the reading of a record and its use.
type meddling struct {
	*software.Memory
	meddle func()
}

func (m *meddling) Get(ctx context.Context, name string) ([]byte, error) {
	value, err := m.Memory.Get(ctx, name)
	if meddle := m.meddle; meddle != nil {
		m.meddle = nil
		meddle()
	}
	return value, err
}

// A key that is deleted while another goroutine loads it does not come back.
func TestDeleteDuringLoad(t *testing.T) {
	storage := &meddling{Memory: software.NewMemory()}
	a := open(t, software.Options{Storage: storage, Secret: secret})
	info := one(t, a, securearea.Request{Curve: securearea.P256, Purpose: securearea.Sign})
	storage.meddle = func() {
		if err := a.Delete(t.Context(), info.ID); err != nil {
			t.Error(err)
		}
	}
	if err := signs(t, a, info); err != nil {
		t.Errorf("the load that was first: %v", err)
	}
	if err := signs(t, a, info); !errors.Is(err, securearea.ErrNotFound) {
		t.Errorf("after the deletion: %v", err)
	}
}

// A record that was changed, or put under another name, is invalidated; it
// never signs, and never with another key.
func TestDamagedRecords(t *testing.T) {
	storage := &spy{Memory: software.NewMemory(), seen: map[string][]byte{}}
	a := open(t, software.Options{Storage: storage, Secret: secret})
	first := one(t, a, securearea.Request{Curve: securearea.P256, Purpose: securearea.Sign})
	second := one(t, a, securearea.Request{Curve: securearea.P256, Purpose: securearea.Sign})
	good := storage.seen[first.ID]

	damaged := map[string][]byte{
		"cut":            good[:len(good)/2],
		"empty":          {},
		"another record": storage.seen[second.ID],
		"agree":          bytes.Replace(good, []byte(`"sign"`), []byte(`"agree"`), 1),
		"another curve":  bytes.Replace(good, []byte(`"P-256"`), []byte(`"P-384"`), 1),
		"version":        bytes.Replace(good, []byte(`"v":1`), []byte(`"v":2`), 1),
		"sealed":         bytes.Replace(good, []byte(`"sealed":"`), []byte(`"sealed":"AAAA`), 1),
		"cheap lock":     bytes.Replace(good, []byte(`"sealed"`), []byte(`"lock":{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","iterations":1},"sealed"`), 1),
		"not JSON":       []byte("\x00\xff"),
	}
	for name, data := range damaged {
		if bytes.Equal(data, good) {
			t.Fatalf("%s: the record was not changed", name)
		}
		if err := a.Delete(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		if err := storage.Memory.Put(t.Context(), first.ID, data); err != nil {
			t.Fatal(err)
		}
		_, err := a.Sign(t.Context(), first.ID, []byte("m"), securearea.Unlock{Passphrase: []byte("p")})
		if !errors.Is(err, securearea.ErrInvalidated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What reaches logs and formatted text holds no secret.
func TestNothingSecretLeaves(t *testing.T) {
	o := software.Options{Storage: software.NewMemory(), Secret: secret, Name: "test"}
	a := open(t, o)
	unlock := securearea.Unlock{Passphrase: []byte("hunter2")}
	info := one(t, a, securearea.Request{Curve: securearea.P256, Purpose: securearea.Sign})
	if err := signs(t, a, info); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "options", o, "area", a, "unlock", unlock)
	text := log.String() + fmt.Sprintf("%v %+v %#v %s %v %+v %#v %v %+v %#v", o, o, o, o, a, a, a, unlock, unlock, unlock)
	for _, leak := range []string{"s3cr", "hunter2", fmt.Sprint(secret), fmt.Sprint([]byte("hunter2"))} {
		if strings.Contains(text, leak) {
			t.Errorf("%q in %s", leak, text)
		}
	}
	if !strings.Contains(text, "[redacted]") {
		t.Errorf("nothing is redacted in %s", text)
	}
}

func TestDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := directory(t, path)
	ctx := t.Context()
	if err := d.Put(ctx, "one", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(ctx, "one", []byte("2")); !errors.Is(err, software.ErrExists) {
		t.Errorf("second Put: %v", err)
	}
	if got, err := d.Get(ctx, "one"); err != nil || string(got) != "1" {
		t.Errorf("Get: %q, %v", got, err)
	}
	for _, name := range []string{"", "../one", "a/b", "ONE", strings.Repeat("x", 65)} {
		if err := d.Put(ctx, name, nil); err == nil {
			t.Errorf("Put %q succeeded", name)
		}
		if _, err := d.Get(ctx, name); !errors.Is(err, securearea.ErrNotFound) {
			t.Errorf("Get %q: %v", name, err)
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("%d files left in the folder, want one", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if names, err := d.List(ctx); err != nil || len(names) != 1 || names[0] != "one" {
		t.Errorf("List: %v, %v", names, err)
	}
	if err := d.Delete(ctx, "one"); err != nil {
		t.Error(err)
	}
	if err := d.Delete(ctx, "one"); !errors.Is(err, securearea.ErrNotFound) {
		t.Errorf("second Delete: %v", err)
	}
}

// BenchmarkSign is to be compared with BenchmarkRaw: a cached key costs the
// signature and little else.
func BenchmarkSign(b *testing.B) {
	a := open(b, software.Options{Storage: software.NewMemory(), Secret: secret})
	info := one(b, a, securearea.Request{Curve: securearea.P256, Purpose: securearea.Sign})
	message := make([]byte, 500)
	for b.Loop() {
		if _, err := a.Sign(b.Context(), info.ID, message, securearea.Unlock{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRaw(b *testing.B) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 500)
	for b.Loop() {
		digest := sha256.Sum256(message)
		if _, err := k.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

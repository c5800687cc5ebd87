package wallet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/wallet"
	"github.com/eidos-id/eidos/wallet/sqlitestore"
	"github.com/google/go-cmp/cmp"
)

func open(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// storages runs a test on every Storage.
func storages(t *testing.T, f func(*testing.T, wallet.Storage)) {
	t.Run("memory", func(t *testing.T) { f(t, wallet.NewMemory()) })
	t.Run("sqlite", func(t *testing.T) { f(t, open(t, filepath.Join(t.TempDir(), "wallet.db"))) })
}

func TestStorage(t *testing.T) {
	ctx := context.Background()
	storages(t, func(t *testing.T, s wallet.Storage) {
		put := func(pairs ...string) func(wallet.Txn) error {
			return func(x wallet.Txn) error {
				for i := 0; i < len(pairs); i += 3 {
					if err := x.Put(ctx, pairs[i], pairs[i+1], []byte(pairs[i+2])); err != nil {
						return err
					}
				}
				return nil
			}
		}
		list := func(kind, prefix string) string {
			t.Helper()
			var out []string
			err := s.View(ctx, func(x wallet.Txn) error {
				items, err := x.List(ctx, kind, prefix)
				for _, i := range items {
					out = append(out, i.ID+"="+string(i.Value))
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			return strings.Join(out, " ")
		}
		if err := s.Tx(ctx, put("k", "a/2", "two", "k", "a/1", "one", "k", "a0", "no", "k", "A", "", "l", "a/1", "other", "k", "a/1", "eins")); err != nil {
			t.Fatal(err)
		}
		for prefix, want := range map[string]string{"": "A= a/1=eins a/2=two a0=no", "a/": "a/1=eins a/2=two", "a": "a/1=eins a/2=two a0=no", "b": "", "%": ""} {
			if got := list("k", prefix); got != want {
				t.Errorf("list %q: %s", prefix, got)
			}
		}
		boom := errors.New("boom")
		err := s.Tx(ctx, func(x wallet.Txn) error {
			if err := put("k", "a/3", "three")(x); err != nil {
				return err
			}
			if err := x.Delete(ctx, "k", "a/1"); err != nil {
				return err
			}
			if v, err := x.Get(ctx, "k", "a/3"); err != nil || string(v) != "three" {
				t.Errorf("own write: %q %v", v, err)
			}
			if _, err := x.Get(ctx, "k", "a/1"); !errors.Is(err, wallet.ErrNotFound) {
				t.Errorf("own deletion: %v", err)
			}
			if items, err := x.List(ctx, "k", "a/"); err != nil || len(items) != 2 || items[1].ID != "a/3" {
				t.Errorf("own list: %v %v", items, err)
			}
			return boom
		})
		if err != boom || list("k", "a/") != "a/1=eins a/2=two" {
			t.Errorf("rolled back: %v, %s", err, list("k", "a/"))
		}
		if err := s.View(ctx, put("k", "x", "y")); err == nil {
			t.Error("a View wrote")
		}
		if err := s.Tx(ctx, func(x wallet.Txn) error { return errors.Join(x.Delete(ctx, "k", "none"), x.Delete(ctx, "k", "a0")) }); err != nil || list("k", "a0") != "" {
			t.Errorf("delete: %v", err)
		}
	})
}

// Counting up from several goroutines loses nothing.
func TestStorageConcurrency(t *testing.T) {
	ctx := context.Background()
	storages(t, func(t *testing.T, s wallet.Storage) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 5 {
					err := s.Tx(ctx, func(x wallet.Txn) error {
						n := 0
						v, err := x.Get(ctx, "n", "n")
						if err == nil {
							_, err = fmt.Sscan(string(v), &n)
						} else if errors.Is(err, wallet.ErrNotFound) {
							err = nil
						}
						return errors.Join(err, x.Put(ctx, "n", "n", fmt.Append(nil, n+1)))
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if err := s.View(ctx, func(x wallet.Txn) error {
			v, err := x.Get(ctx, "n", "n")
			if string(v) != "40" {
				t.Errorf("%s", v)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestOnceTx(t *testing.T) {
	ctx, now := context.Background(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	storages(t, func(t *testing.T, s wallet.Storage) {
		do := func(f func(once.Store) error) error { return wallet.OnceTx(s)(ctx, f) }
		claim := func(at time.Time) (v []byte, err error) {
			err = do(func(st once.Store) error { v, err = st.Claim(ctx, "k", "id", at); return err })
			return v, err
		}
		if _, err := claim(now); !errors.Is(err, once.ErrNotFound) {
			t.Error(err)
		}
		if err := do(func(st once.Store) error { return st.Put(ctx, "k", "id", []byte("v"), now.Add(time.Hour)) }); err != nil {
			t.Fatal(err)
		}
		if _, err := claim(now.Add(time.Hour)); !errors.Is(err, once.ErrExpired) {
			t.Error(err)
		}
		if v, err := claim(now); err != nil || string(v) != "v" {
			t.Errorf("%q %v", v, err)
		}
		if _, err := claim(now); !errors.Is(err, once.ErrClaimed) {
			t.Error(err)
		}
		if err := do(func(st once.Store) error {
			return errors.Join(st.Put(ctx, "k", "id", []byte("w"), now.Add(time.Hour)), errors.New("no"))
		}); err == nil {
			t.Error("error lost")
		}
		if _, err := claim(now); !errors.Is(err, once.ErrClaimed) {
			t.Errorf("rolled back: %v", err)
		}
	})
}

// What is on disk is there in the next process, and two processes on one
// storage never show the same copy.
func TestTwoProcesses(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "wallet.db")
	keys := software.NewMemory()
	process := func() *device {
		area, err := software.Open(context.Background(), software.Options{Storage: keys, Secret: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		return w.device(func(_ *wallet.Config, deps *wallet.Deps) { deps.Storage, deps.Area = open(t, path), area })
	}
	one := process()
	if _, err := one.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	docs, err := one.take(w.offer("", "mdl"), wallet.AcceptOptions{})
	if err != nil {
		t.Fatal(err)
	}
	two := process()
	if listed, err := two.Documents(t.Context()); err != nil || !cmp.Equal(listed, docs) {
		t.Errorf("%+v %v", listed, err)
	}
	if inst, err := two.Status(t.Context()); err != nil || inst.Provider != providerURL {
		t.Errorf("%+v %v", inst, err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v: others can read it", info.Mode(), err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for _, d := range []*device{one, two, one, two} {
		wg.Go(func() {
			entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
				resp, _ := r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))
				r.verify(resp)
				mu.Lock()
				seen[string(resp.Documents[0].IssuerSigned.Auth.MSO.DeviceKey)]++
				mu.Unlock()
			})
			if err != nil || entries[0].Documents[0].Reused {
				t.Errorf("%+v %v", entries, err)
			}
		})
	}
	wg.Wait()
	if len(seen) != 4 {
		t.Errorf("%d copies for 4 presentations", len(seen))
	}
}

func TestConfig(t *testing.T) {
	if err := (wallet.Config{}).Check(); err != nil {
		t.Error(err)
	}
	bad := wallet.Config{Name: strings.Repeat("x", 129), Copies: 101, RedirectURI: "nowhere"}
	err := bad.Check()
	for _, want := range []string{"name", "copies", "redirectURI"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
	if _, err := wallet.New(wallet.Config{}, wallet.Deps{}); err == nil {
		t.Error("a wallet of nothing")
	}
	if !strings.Contains(wallet.ConfigSource, "RedirectURI") {
		t.Error("no manual")
	}
}

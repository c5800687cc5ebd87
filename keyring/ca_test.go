package keyring_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/record"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/securearea/software"
)

func records(t *testing.T, dsn string) record.Store {
	t.Helper()
	d, err := db.Open(t.Context(), dsn, "role", fstest.MapFS{"0001_x.sql": {Data: []byte(`create table x (id text primary key)`)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d.Records()
}

func area(t *testing.T) *software.Area {
	t.Helper()
	a, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func configOf(host string, changed func(context.Context, keyring.Change) error) keyring.CAConfig {
	name := func(cn string) pki.Name { return pki.Name{Organization: "Test", CommonName: cn} }
	return keyring.CAConfig{
		Tenant: "default",
		Root: keyring.Certified{Purpose: keyring.ReaderCA, Profile: pki.ReaderCA, Lifetime: 3 * 365 * day,
			Template: pki.Template{Subject: name("root"), Contact: "https://ca.example", CRLURL: "https://ca.example/crl"}},
		Signers: []keyring.Certified{{Purpose: keyring.Reader, Profile: pki.ReaderAuth, Lifetime: 397 * day, Reserve: 60 * day,
			Template: pki.Template{Subject: name("reader"), DNS: []string{host}, CRLURL: "https://ca.example/crl"}}},
		Changed: changed,
	}
}

// Several processes that begin at once have one root and one signer between
// them; the signer gets a successor in time, none that would not last longer,
// and another one for another name.
func TestCA(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx, area, store := t.Context(), area(t), records(t, dsn)
		var mu sync.Mutex
		made := map[string]int{}
		config := configOf("reader.example", func(_ context.Context, c keyring.Change) error {
			mu.Lock()
			defer mu.Unlock()
			made[c.Detail["purpose"]]++
			return nil
		})
		process := func(c keyring.CAConfig) *keyring.CA {
			return keyring.NewCA(keyring.New(area, keyring.StoreIn(store)), store, c)
		}
		var wg sync.WaitGroup
		for range 4 {
			ca := process(config)
			wg.Go(func() {
				if _, err := ca.Key(ctx, keyring.Reader, now); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made[string(keyring.ReaderCA)] != 1 || made[string(keyring.Reader)] != 1 {
			t.Fatalf("made %v", made)
		}
		ca := process(config)
		end := func(at time.Time) time.Time {
			t.Helper()
			if err := ca.Maintain(ctx, at); err != nil {
				t.Fatal(err)
			}
			k, err := ca.Key(ctx, keyring.Reader, at)
			if err != nil {
				t.Fatal(err)
			}
			root, err := ca.Root(ctx, at)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := k.Certificate()
			if err != nil || cert.CheckSignatureFrom(root) != nil || cert.NotAfter.After(root.NotAfter) {
				t.Fatalf("certificate %v, %v", cert, err)
			}
			return cert.NotAfter
		}
		first := end(now)
		if got := end(now.Add(300 * day)); !got.Equal(first) {
			t.Errorf("renewed long before the end")
		}
		if got := end(now.Add(350 * day)); !got.After(first) {
			t.Errorf("not renewed in time")
		}
		end(now.Add(700 * day))
		root, err := ca.Root(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := end(root.NotAfter.Add(-50 * day)); !got.Equal(root.NotAfter) {
			t.Errorf("the last signer ends %s, the root %s", got, root.NotAfter)
		}
		before := made[string(keyring.Reader)]
		end(root.NotAfter.Add(-5 * day))
		if made[string(keyring.Reader)] != before {
			t.Error("renewed although the root ends")
		}

		moved := process(configOf("new.example", nil))
		k, err := moved.Key(ctx, keyring.Reader, now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if cert, err := k.Certificate(); err != nil || cert.VerifyHostname("new.example") != nil {
			t.Errorf("after the host has moved: %v", err)
		}
		list, err := moved.Published(ctx, now)
		if err != nil || len(list) != before+2 || list[0].Purpose != keyring.ReaderCA || list[1].Name != "reader" {
			t.Errorf("published %+v, %v", list, err)
		}
	})
}

func TestCRLIsTheSameInEveryProcess(t *testing.T) {
	ctx, area, store := t.Context(), area(t), records(t, testkit.SQLite(t))
	numbers := map[string]bool{}
	for _, at := range []time.Time{now, now.Add(time.Hour), now.Add(13 * time.Hour)} {
		ca := keyring.NewCA(keyring.New(area, keyring.StoreIn(store)), store, configOf("reader.example", nil))
		der, err := ca.CRL(ctx, "", at)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ca.CRL(ctx, "", at); err != nil || !bytes.Equal(again, der) {
			t.Errorf("signed again: %v", err)
		}
		crl, err := pki.ParseCRL(der)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ca.Key(ctx, keyring.Reader, at)
		if err != nil {
			t.Fatal(err)
		}
		root, err := ca.Root(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := k.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		if _, report := crl.Check(cert, root, at); !report.OK() {
			t.Error(report.Err())
		}
		numbers[crl.Number().String()] = true
	}
	if len(numbers) != 2 {
		t.Errorf("numbers %v for two halves of days", numbers)
	}
}

func TestSecret(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		area, store := area(t), records(t, dsn)
		secrets := make([][]byte, 6)
		var wg sync.WaitGroup
		for i := range secrets {
			wg.Go(func() {
				z, err := keyring.Secret(t.Context(), area, store, "default", "nonces")
				if err != nil || len(z) != 32 {
					t.Error(len(z), err)
				}
				secrets[i] = z
			})
		}
		wg.Wait()
		for _, z := range secrets {
			if !bytes.Equal(z, secrets[0]) {
				t.Error("two processes have two secrets")
			}
		}
		if ids, err := area.Keys(t.Context()); err != nil || len(ids) != 1 {
			t.Errorf("keys left behind: %v, %v", ids, err)
		}
		for _, other := range [][2]string{{"other", "nonces"}, {"default", "seal"}} {
			if z, err := keyring.Secret(t.Context(), area, store, other[0], other[1]); err != nil || bytes.Equal(z, secrets[0]) {
				t.Errorf("%v: the same secret, or %v", other, err)
			}
		}
	})
}

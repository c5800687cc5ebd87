package publish_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/publish"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/statuslist"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestPublish(t *testing.T) {
	ctx := t.Context()
	d, err := db.Open(ctx, testkit.SQLite(t), "role", fstest.MapFS{"0001_x.sql": {Data: []byte(`create table x (id text primary key)`)}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	area, err := software.Open(ctx, software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	name := func(cn string) pki.Template {
		return pki.Template{Subject: pki.Name{Country: "UT", Organization: "Utopia", CommonName: cn}}
	}
	ca := keyring.NewCA(keyring.New(area, keyring.StoreIn(d.Records())), d.Records(), keyring.CAConfig{
		Tenant:  "default",
		Root:    keyring.Certified{Purpose: "test-ca", Profile: pki.ServiceCA, Template: name("CA"), Lifetime: 1000 * 24 * time.Hour},
		Signers: []keyring.Certified{{Purpose: keyring.Status, Profile: pki.StatusSigner, Template: name("status"), Lifetime: 300 * 24 * time.Hour}},
	})
	board := statuslist.NewBoard(d.Records(), statuslist.BoardConfig{
		Tenant: "default", URI: "https://issuer.example/status", Lifetime: 24 * time.Hour, TTL: 5 * time.Minute,
		Signer: func(ctx context.Context) (key.Signer, [][]byte, error) {
			k, err := ca.Key(ctx, keyring.Status, now)
			return k, k.Record.Chain, err
		},
		Values: func(context.Context, string) ([]statuslist.Value, error) { return nil, nil },
	})
	entry, err := statuslist.NewAllocator(statuslist.Records(d.Records()), 0).Take(ctx, statuslist.Pool{Tenant: "default", Name: "mdoc", Bits: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var files web.Files
	mux := http.NewServeMux()
	serve := func(pattern string, f web.ErrFunc) { mux.Handle("GET "+pattern, f) }
	ofCA := func(f func(http.ResponseWriter, *http.Request, *keyring.CA, time.Time) error) web.ErrFunc {
		return func(w http.ResponseWriter, r *http.Request) error { return f(w, r, ca, now) }
	}
	serve("/ca.cer", ofCA(publish.Root))
	serve("/ca.crl", ofCA(publish.CRL))
	serve("/certificates", ofCA(publish.Certificates))
	serve("/status", func(w http.ResponseWriter, r *http.Request) error { return publish.StatusLists(w, r, board, now) })
	serve("/status/{list}", func(w http.ResponseWriter, r *http.Request) error {
		return publish.StatusList(w, r, board, &files, now)
	})

	get := func(path, mediaType string) []byte {
		t.Helper()
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != mediaType {
			t.Fatalf("%s: %d %s %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		return w.Body.Bytes()
	}
	root, err := pki.ParseCertificate(get("/ca.cer", "application/pkix-cert"))
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(get("/ca.crl", "application/pkix-crl"))
	if err != nil || crl.CheckSignatureFrom(root) != nil {
		t.Errorf("revocation list: %v", err)
	}
	var list []keyring.Published
	if err := json.Unmarshal(get("/certificates", "application/json"), &list); err != nil || len(list) != 2 || list[0].Name != "CA" {
		t.Errorf("certificates: %v %+v", err, list)
	}
	var lists statuslist.Aggregation
	if err := json.Unmarshal(get("/status", "application/json"), &lists); err != nil || len(lists.StatusLists) != 1 || lists.StatusLists[0] != board.ListURI(entry[0].List) {
		t.Errorf("status lists: %v %+v", err, lists)
	}
	if token := get("/status/"+entry[0].List, "application/statuslist+jwt"); bytes.Count(token, []byte(".")) != 2 {
		t.Errorf("status list: %.60s", token)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/status/elsewhere", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("unknown list: %d", w.Code)
	}
}

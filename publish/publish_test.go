package publish_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
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
	entry, err := statuslist.NewAllocator(statuslist.Records(d.Records()), 0).Take(ctx, statuslist.Pool{Tenant: "default", Name: "mdoc", Bits: 1, Identifiers: true}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var files web.Files
	clock := now
	mux := http.NewServeMux()
	serve := func(pattern string, f web.ErrFunc) { mux.Handle("GET "+pattern, f) }
	ofCA := func(f func(http.ResponseWriter, *http.Request, *keyring.CA, time.Time) error) web.ErrFunc {
		return func(w http.ResponseWriter, r *http.Request) error { return f(w, r, ca, now) }
	}
	serve("/ca.cer", ofCA(publish.Root))
	serve("/ca.pem", ofCA(publish.Roots))
	serve("/ca.crl", ofCA(publish.CRL))
	serve("/ca.crl/{root}", ofCA(publish.CRL))
	serve("/certificates", ofCA(publish.Certificates))
	serve("/status", func(w http.ResponseWriter, r *http.Request) error { return publish.StatusLists(w, r, board, now) })
	serve("/status/{list}", func(w http.ResponseWriter, r *http.Request) error {
		return publish.StatusList(w, r, board, &files, clock)
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
	root := pkitest.Parse(t, get("/ca.cer", "application/pkix-cert"))
	listed := func(path string, root *x509.Certificate) {
		t.Helper()
		crl, err := x509.ParseRevocationList(get(path, "application/pkix-crl"))
		if err != nil || crl.CheckSignatureFrom(root) != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	listed("/ca.crl", root)
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
	// What a list's address answers, by what is asked of it.
	path := "/status/" + entry[0].List
	etag := ""
	for _, tt := range []struct {
		path   string
		header [2]string
		clock  time.Time
		code   int
		want   map[string]string
	}{
		{path, [2]string{}, now, 200, map[string]string{"Content-Type": "application/statuslist+jwt", "Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}},
		{path, [2]string{"Accept", "*/*"}, now, 200, map[string]string{"Content-Type": "application/statuslist+jwt", "Vary": "Accept, Accept-Encoding"}},
		{path, [2]string{"Accept", "application/statuslist+cwt"}, now, 200, map[string]string{"Content-Type": "application/statuslist+cwt"}},
		{path, [2]string{"Accept", "text/html"}, now, 406, nil},
		{path, [2]string{"Accept-Encoding", "gzip"}, now, 200, map[string]string{"Content-Encoding": "gzip"}},
		{path, [2]string{"If-None-Match", "etag"}, now, 304, nil},
		{path, [2]string{}, now.Add(24*time.Hour - time.Minute), 200, map[string]string{"Cache-Control": "public, max-age=60"}},
		{path + "?time=1", [2]string{}, now, 501, nil},
		{path + ".identifiers", [2]string{}, now, 200, map[string]string{"Content-Type": "application/identifierlist+cwt"}},
		{path + ".identifiers", [2]string{"Accept", "application/statuslist+cwt"}, now, 406, nil},
		{"/status/elsewhere", [2]string{}, now, 404, nil},
		{"/status/AAAAAAAAAAAAAAAAAAAAAA", [2]string{}, now, 404, nil},
	} {
		clock = tt.clock
		r := httptest.NewRequest("GET", tt.path, nil)
		if tt.header[0] != "" {
			r.Header.Set(tt.header[0], strings.Replace(tt.header[1], "etag", etag, 1))
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != tt.code {
			t.Errorf("%s %v: %d, want %d", tt.path, tt.header, w.Code, tt.code)
		}
		for name, want := range tt.want {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s %v: %s is %q, want %q", tt.path, tt.header, name, got, want)
			}
		}
		if etag == "" {
			etag = w.Header().Get("ETag")
		}
	}

	// A second root: both are shown, each with its own list, the first one's
	// where it was.
	rolled, err := ca.Roll(ctx, true, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := pki.ParseBundle(get("/ca.pem", "application/x-pem-file"))
	if err != nil || len(bundle) != 3 || !bundle[0].Equal(rolled.Root) || !bundle[1].Equal(root) || !bundle[2].Equal(rolled.Link) {
		t.Errorf("%d certificates, %v", len(bundle), err)
	}
	listed("/ca.crl", root)
	listed("/ca.crl/"+rolled.List, rolled.Root)
	w := httptest.NewRecorder()
	if mux.ServeHTTP(w, httptest.NewRequest("GET", "/ca.crl/00", nil)); w.Code != http.StatusNotFound {
		t.Errorf("a list of nobody: %d", w.Code)
	}
}

// BenchmarkStatusList answers requests for a list of a million entries of which
// one in a hundred is revoked, and for one at random fill. It reports what gzip
// makes of a token: 1 where it is sent as it is.
func BenchmarkStatusList(b *testing.B) {
	for fill, percent := range map[string]int{"1%": 1, "random": 50} {
		list, err := status.NewList(1, 1_000_000)
		if err != nil {
			b.Fatal(err)
		}
		for i := range uint64(list.Len()) {
			if rand.IntN(100) < percent {
				if err := list.Set(i, status.Invalid); err != nil {
					b.Fatal(err)
				}
			}
		}
		p, err := statuslist.Publish(b.Context(), testkit.Signer(b, elliptic.P256()), statuslist.Edition{
			URI: "https://issuer.example/status/1", List: list, Now: now, Lifetime: time.Hour,
		})
		if err != nil {
			b.Fatal(err)
		}
		for format, plain := range map[string]int{"jwt": len(p.JWT), "cwt": len(p.CWT)} {
			b.Run(fill+"/"+format, func(b *testing.B) {
				var files web.Files
				r := httptest.NewRequest("GET", "/status/1", nil)
				r.Header.Set("Accept", "application/statuslist+"+format)
				r.Header.Set("Accept-Encoding", "gzip")
				sent := 0
				b.ReportAllocs()
				for b.Loop() {
					w := discard{http.Header{}, &sent}
					if err := files.Serve(w, r, p, time.Minute); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(plain), "bytes")
				b.ReportMetric(float64(sent)/float64(plain), "sent")
			})
		}
	}
}

// discard is a ResponseWriter that only counts.
type discard struct {
	header http.Header
	sent   *int
}

func (d discard) Header() http.Header { return d.header }
func (d discard) WriteHeader(int)     {}
func (d discard) Write(b []byte) (int, error) {
	*d.sent = len(b)
	return len(b), nil
}

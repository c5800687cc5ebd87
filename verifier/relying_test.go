package verifier_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/rights"
	"github.com/eidos-id/eidos/verifier"
)

// keeping lets the demonstration's relying party keep answers.
func keeping() verifier.Config {
	return verifier.Config{Tenants: []verifier.Tenant{{ID: "default", Name: "Eidos Demo Verifier", Page: true, Retain: 48 * time.Hour,
		Origins: []string{"https://shop.example"}, RedirectURIs: []string{"https://shop.example/back"}}}}
}

// shared has a holder answer a new request.
func (w *world) shared(h *holder, p verifier.AskParams) verifier.Transaction {
	w.t.Helper()
	p.Ask = ask
	tr, err := w.v.Begin(w.t.Context(), "default", p)
	w.check(err)
	req, err := w.opened(tr)
	w.check(err)
	_, err = w.post(h.answer(req, "family_name", "age_over_21", "portrait"))
	w.check(err)
	return tr
}

// stored is everything that is on disk of the database: files, log of writes,
// and a dump.
func (w *world) stored() []byte {
	w.t.Helper()
	path, ok := strings.CutPrefix(w.dsn, "sqlite:")
	if !ok {
		dump, files := testkit.PostgresStored(w.t, w.dsn)
		return append(dump, files...)
	}
	var all []byte
	w.check(filepath.WalkDir(filepath.Dir(path), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		all = append(all, data...)
		return err
	}))
	return all
}

// contains looks for a value as it is, and as databases and JSON write it.
func contains(disk, value []byte) bool {
	forms := [][]byte{value}
	for skip := range 3 { // base64 of something around the value
		text := base64.RawStdEncoding.EncodeToString(value[skip:])
		forms = append(forms, []byte(text[:len(text)/4*4-4]))
	}
	for _, f := range forms {
		if bytes.Contains(disk, f) || bytes.Contains(disk, []byte(hex.EncodeToString(f))) {
			return true
		}
	}
	return false
}

// What was shared reaches no disk in the clear, and the secret that opens it
// none at all. Controls show that the search finds what is there.
func TestNothingInTheClear(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		h := w.issue(5)
		tr, kept := w.shared(h, verifier.AskParams{}), w.shared(h, verifier.AskParams{Retain: time.Hour})
		if o := w.outcome(tr); o.Result == nil || o.Result.Documents[0].Elements[0].Text != secretName {
			t.Fatalf("%+v", o)
		}
		// The controls are like the values, and differ from them.
		name, portrait := []byte("Kontrolle-"+t.Name()), append([]byte("control"), picture()[40:90]...)
		inJSON, err := json.Marshal(map[string][]byte{"portrait": portrait})
		w.check(err)
		w.check(w.db.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			for key, body := range map[string][]byte{"raw": name, "json": inJSON} {
				if _, err := tx.Exec(ctx, `insert into pack_item (tenant, kind, name, body, fetched) values ('control', 'crl', $1, $2, 0)`, key, body); err != nil {
					return err
				}
			}
			return nil
		}))
		disk := w.stored()
		for what, value := range map[string][]byte{"name": name, "portrait": portrait} {
			if !contains(disk, value) {
				t.Errorf("the search does not find the %s of the control in %d bytes", what, len(disk))
			}
		}
		for what, value := range map[string][]byte{
			"name": []byte(secretName), "portrait": picture()[100:140], "secret": []byte(tr.ID), "secret of what is kept": []byte(kept.ID),
		} {
			if contains(disk, value) {
				t.Errorf("the %s is on disk", what)
			}
		}
	})
}

// The answer opens with the secret alone, not with another, and not for the
// verifier itself; what is kept opens for the relying party, and says what was
// on the wire.
func TestWhoReads(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		h := w.issue(5)
		tr := w.shared(h, verifier.AskParams{})
		if _, err := w.v.Outcome(t.Context(), "default", tr.Number, ""); !errors.Is(err, verifier.ErrUnknownTransaction) {
			t.Errorf("read by its number: %v", err)
		}
		if _, err := w.v.Evidence(t.Context(), "default", tr.Number); !errors.Is(err, verifier.ErrNothingKept) {
			t.Errorf("kept though nobody asked for it: %v", err)
		}
		// An answer that was sealed for one transaction is none of another.
		other := w.shared(h, verifier.AskParams{})
		w.check(w.db.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `update presentation set result = (select result from presentation where id = $1) where id = $2`, tr.Number, other.Number)
			return err
		}))
		if _, err := w.v.Outcome(t.Context(), "default", other.ID, ""); err == nil {
			t.Error("the answer of another transaction opens")
		}

		kept := w.shared(h, verifier.AskParams{Retain: 3 * time.Hour})
		e, err := w.v.Evidence(t.Context(), "default", kept.Number)
		w.check(err)
		if e.Result == nil || e.Result.Documents[0].Elements[0].Text != secretName || !e.Result.Documents[0].Elements[0].Retain ||
			strings.Count(e.Request, ".") != 2 || len(e.Received) == 0 || len(e.Presentations) != 1 || len(e.Transcript) == 0 {
			t.Errorf("evidence: %+v", e)
		}
		w.Pass(time.Hour)
		w.check(w.v.Sweep(t.Context()))
		if _, err := w.v.Outcome(t.Context(), "default", tr.ID, ""); !errors.Is(err, verifier.ErrUnknownTransaction) {
			t.Errorf("after its time: %v", err)
		}
		if o := w.outcome(kept); o.Result == nil {
			t.Errorf("what is kept went early: %+v", o)
		}
		p, err := w.v.Past(t.Context(), "default", tr.Number)
		w.check(err)
		text, err := json.Marshal(p)
		w.check(err)
		if p.Verdict != "valid" || len(p.Documents) != 1 || len(p.Documents[0].Report.Checks) < 5 || contains(text, []byte(secretName)) || bytes.Contains(text, []byte("Erika")) {
			t.Errorf("what stays: %s", text)
		}
		w.Pass(2 * time.Hour)
		w.check(w.v.Sweep(t.Context()))
		if _, err := w.v.Evidence(t.Context(), "default", kept.Number); !errors.Is(err, verifier.ErrUnknownTransaction) {
			t.Errorf("kept for too long: %v", err)
		}
		if _, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, Retain: 49 * time.Hour}); !errors.Is(err, verifier.ErrInvalid) {
			t.Errorf("longer than the configuration allows: %v", err)
		}
		w.Pass(8 * day)
		w.check(w.v.Sweep(t.Context()))
		if n := w.rows("presentation") + w.rows("history"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// The operator sees of each transaction what was asked, by the name of a preset or
// the types of document, whatever became of it, and never the purpose, in which a
// system may have written whom it asks.
func TestWhatWasAsked(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		const dcql = `{"credentials":[{"id":"a","format":"mso_mdoc","meta":{"doctype_value":"org.example.` + "LONG" + `"},"claims":[{"path":["n","e"]}]}]}`
		long := strings.Repeat("x", 100)
		var numbers []string
		for _, p := range []verifier.AskParams{
			{Ask: "age18", Purpose: "Call " + secretName}, {Ask: ask}, {Ask: "mdl:family_name; pid:family_name | photoid:family_name"},
			{DCQL: json.RawMessage(strings.Replace(dcql, "LONG", long, 1))},
		} {
			tr, err := w.v.Begin(t.Context(), "default", p)
			w.check(err)
			numbers = append(numbers, tr.Number)
			w.Pass(time.Second)
		}
		answered := w.shared(w.issue(5), verifier.AskParams{})
		w.Pass(time.Second)
		check := func(want ...string) {
			t.Helper()
			list, err := w.v.History(t.Context(), "default", verifier.Position{}, 10)
			w.check(err)
			var got []string
			for _, p := range list {
				got = append(got, string(p.State)+" "+p.Title)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
		cut := "org.example." + long[:67] + "…"
		check("done Driving licence", "waiting "+cut, "waiting Driving licence, Personal ID, Photo ID", "waiting Driving licence", "waiting Over 18")
		w.Pass(6 * time.Minute)
		w.check(w.v.Sweep(t.Context()))
		check("done Driving licence", "expired "+cut, "expired Driving licence, Personal ID, Photo ID", "expired Driving licence", "expired Over 18")
		for number, want := range map[string]string{answered.Number: "Driving licence", numbers[0]: "Over 18"} {
			if p, err := w.v.Past(t.Context(), "default", number); err != nil || p.Title != want {
				t.Errorf("%+v %v", p, err)
			}
		}
		if contains(w.stored(), []byte(secretName)) {
			t.Error("the purpose is on disk in the clear")
		}
	})
}

// process is another verifier on the world's database.
func (w *world) process(cfg verifier.Config) *verifier.Verifier {
	w.t.Helper()
	d, err := db.Open(w.t.Context(), w.dsn, "verifier", verifier.Schema)
	w.check(err)
	w.t.Cleanup(func() { d.Close() })
	v, err := verifier.New(cfg, verifier.Deps{DB: d, Area: w.area, Fetch: w.fetch, Now: w.Now})
	w.check(err)
	return v
}

// reader reads the states of a transaction from a server of its own.
type reader struct {
	lines *bufio.Scanner
	head  http.Header
}

func (w *world) watch(v *verifier.Verifier, path string) *reader {
	w.t.Helper()
	server := httptest.NewServer(v.Handler())
	w.t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	w.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
	w.check(err)
	resp, err := http.DefaultClient.Do(req)
	w.check(err)
	w.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return &reader{bufio.NewScanner(resp.Body), resp.Header}
}

// next is the next state, "" at the end.
func (r *reader) next(t *testing.T) verifier.State {
	t.Helper()
	for r.lines.Scan() {
		if data, ok := strings.CutPrefix(r.lines.Text(), "data: "); ok {
			var c verifier.Change
			if err := json.Unmarshal([]byte(data), &c); err != nil {
				t.Fatal(err)
			}
			return c.State
		}
	}
	return ""
}

// A change is told by the process that made it and by any other.
func TestEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		elsewhere := w.process(keeping())
		h := w.issue(5)
		tr := w.begin(ask)
		path := "/default/watch/" + tr.Number + "/events"
		all := []*reader{w.watch(w.v, path), w.watch(elsewhere, path), w.watch(elsewhere, path)}
		expect := func(want verifier.State) {
			t.Helper()
			for i, r := range all {
				if got := r.next(t); got != want {
					t.Fatalf("reader %d is told %q, want %q", i, got, want)
				}
			}
		}
		if got := all[0].head.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("pages of other sites: %q", got)
		}
		expect(verifier.Waiting)
		req, err := w.opened(tr)
		w.check(err)
		expect(verifier.Fetched)
		_, err = w.post(h.answer(req, "family_name", "age_over_21", "portrait"))
		w.check(err)
		expect(verifier.Done)
		expect("")

		// One that is deleted, and one that nobody answers, end too.
		gone, late := w.begin(ask), w.begin(ask)
		all = []*reader{w.watch(w.v, "/default/watch/"+gone.Number+"/events"), w.watch(elsewhere, "/default/watch/"+gone.Number+"/events"),
			w.watch(w.v, "/default/watch/"+late.Number+"/events"), w.watch(elsewhere, "/default/watch/"+late.Number+"/events")}
		expect(verifier.Waiting)
		w.check(w.v.Delete(t.Context(), "default", gone.Number))
		w.Pass(6 * time.Minute)
		expect(verifier.Expired)
		expect("")
		for _, path := range []string{"/default/watch/none", "/default/watch/none/events", "/nobody/watch/" + tr.Number, "/default/watch/%00", "/default/watch/%ff/events",
			"/default/request/%00", "/default/done?response_code=%00"} {
			rec := httptest.NewRecorder()
			w.v.Handler().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
			if rec.Code != 404 && rec.Code != 400 {
				t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
			}
		}

		// A process that ends sends its readers away.
		last := w.begin(ask)
		r := w.watch(elsewhere, "/default/watch/"+last.Number+"/events")
		if got := r.next(t); got != verifier.Waiting {
			t.Errorf("%q", got)
		}
		elsewhere.Drain()
		if got := r.next(t); got != "" {
			t.Errorf("told %q after the end", got)
		}
	})
}

// Not everybody can wait for one transaction.
func TestTooManyReaders(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), keeping())
	tr := w.begin(ask)
	path := "/default/watch/" + tr.Number + "/events"
	for range 8 {
		w.watch(w.v, path).next(t)
	}
	rec := httptest.NewRecorder()
	w.v.Handler().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	if rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// A request to delete what is kept names its transaction, and is proved by who
// knows what was sent.
func TestDeletionOfWhatIsKept(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		h := w.issue(5)
		tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, Retain: time.Hour})
		w.check(err)
		req, err := w.opened(tr)
		w.check(err)
		_, err = w.post(h.answer(req, "family_name", "age_over_21", "portrait"))
		w.check(err)
		e, err := w.v.Evidence(t.Context(), "default", tr.Number)
		w.check(err)
		leaf, err := x509.ParseCertificate(req.Chain[0])
		w.check(err)
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "http://verifier.localhost:8080/default/deletion" {
			t.Fatalf("support URIs %v", leaf.URIs)
		}
		ask := func(id, uri string, receipts ...string) {
			t.Helper()
			m, err := rights.Deletion{ID: id, ResponseURI: uri, Shared: w.Now(), Elements: []string{"family_name"}, Receipts: receipts}.Request(leaf.URIs[0].String())
			w.check(err)
			resp, err := w.fetch(t.Context(), m)
			w.check(err)
			if _, err := rights.ParseAcknowledgement(resp); err != nil {
				t.Fatal(err)
			}
		}
		receipt := rights.Receipt([]byte(e.Presentations[0].Presentations[0]))
		ask("1", req.ResponseURI, receipt)
		ask("1", req.ResponseURI, receipt) // again
		w.Pass(time.Second)
		ask("2", req.ResponseURI, rights.Receipt([]byte("guess")))
		w.Pass(time.Second)
		ask("3", "https://elsewhere.example/response/x")
		list, err := w.v.Deletions(t.Context(), "default", 10)
		w.check(err)
		if len(list) != 3 || list[0].Transaction != tr.Number || !list[0].Proved || list[1].Transaction != tr.Number || list[1].Proved || list[2].Transaction != "" {
			t.Errorf("%+v", list)
		}
	})
}

// The same of an answer by the older profile, of which the app knows the whole
// DeviceResponse.
func TestDeletionOfADeviceResponse(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), keeping())
	tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, Retain: time.Hour})
	w.check(err)
	link, err := w.v.AnnexBLink(t.Context(), "default", tr.ID)
	w.check(err)
	l, err := oid4vp.ParseLink(link)
	w.check(err)
	object, _, err := l.Fetch(t.Context(), w.fetch)
	w.check(err)
	req, _, err := oid4vp.OpenAnnexB(object, l, w.Now())
	w.check(err)
	response := w.issue(5).present(req.Transcript(), "family_name", "age_over_21", "portrait")
	msg, err := req.Answer(response)
	w.check(err)
	_, err = w.post(msg)
	w.check(err)
	m, err := rights.Deletion{ID: "1", ResponseURI: req.ResponseURI, Shared: w.Now(), Elements: []string{"family_name"},
		Receipts: []string{rights.Receipt(response)}}.Request("http://verifier.localhost:8080/default/deletion")
	w.check(err)
	resp, err := w.fetch(t.Context(), m)
	w.check(err)
	if _, err := rights.ParseAcknowledgement(resp); err != nil {
		t.Fatal(err)
	}
	list, err := w.v.Deletions(t.Context(), "default", 10)
	w.check(err)
	if len(list) != 1 || list[0].Transaction != tr.Number || !list[0].Proved {
		t.Errorf("%+v", list)
	}
}

package verifier_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/verifier"
)

// A public page starts a transaction for anybody, but not many from one address.
func TestFloodOfAPage(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		guard := web.NewGuard(web.GuardOptions{PerAddress: 4, PerTenant: 1000, PerClient: 1, PerServer: 7, WrongPerAddress: 1, WrongPerTenant: 1, Now: w.Now})
		v, err := verifier.New(verifier.Config{}, verifier.Deps{DB: w.db, Area: w.area, Fetch: w.fetch, Guard: guard, Now: w.Now})
		w.check(err)
		w.v = v
		count := func() (n int) {
			w.check(w.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				return tx.QueryRow(ctx, "select count(*) from presentation").Scan(&n)
			}))
			return n
		}
		begun, held := 0, 0
		for range 20 {
			switch resp := w.serve(fetch.FormRequest("http://verifier.localhost:8080/default/", url.Values{"ask": {"driving"}})); {
			case resp.Status == 303:
				begun++
			case resp.Status == 429 && resp.Get("retry-after") == "15":
				held++
			default:
				t.Fatalf("%d %s", resp.Status, resp.Body)
			}
		}
		if n := count(); begun != 4 || held != 16 || n != 4 {
			t.Errorf("%d begun, %d held back, %d rows", begun, held, n)
		}
		w.Pass(24 * time.Hour)
		w.check(v.Sweep(t.Context()))
		if n := count(); n != 0 {
			t.Errorf("%d rows a day later", n)
		}
	})
}

// tables are those that requests of strangers could fill.
var tables = []string{"presentation", "pack_item", "known_list", "history", "deletion", "once", "audit", "record", "outbox_message"}

// size is how many rows the tables have, and how many bytes the transactions.
func (w *world) size() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, table := range tables {
		out[table] = w.rows(table)
	}
	var n int
	w.check(w.db.View(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		return tx.QueryRow(ctx, "select sum(length(request) + length(result) + length(evidence)) from presentation").Scan(&n)
	}))
	// What was served last is kept in the place of what was before, and is longer
	// for a page than for an app.
	out["8 KiB of transactions"] = n / (8 << 10)
	return out
}

// flood is how often each kind of request is sent.
const flood = 40

// Strangers write nothing, however much they send: neither those who guess, nor
// those who have seen a link and ask for its request again and again. Nothing
// about them stays in memory.
func TestFloodByStrangers(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		kept, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, Retain: time.Hour})
		w.check(err)
		_, err = w.opened(kept)
		w.check(err)
		if rec := w.asPage("GET", kept.Watch+"/dc", shop, ""); rec.Code != 200 { // its requests are made once
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		handle := kept.RequestURI[strings.LastIndex(kept.RequestURI, "/")+1:]
		before := w.size()
		guess := func(i int) string { return fmt.Sprintf("%s%d", handle[:20], i) }
		form := func(path string, v url.Values) fetch.Request { return fetch.FormRequest(public+path, v) }
		page := func(method, path, body string) fetch.Request {
			return fetch.Request{Method: method, URL: public + path, Body: []byte(body), Header: map[string]string{"origin": shop, "content-type": "application/json"}}
		}
		for name, make := range map[string]func(i int) fetch.Request{
			"guessed request":  func(i int) fetch.Request { return fetch.GetRequest(public+"/request/"+guess(i), "") },
			"guessed posted":   func(i int) fetch.Request { return form("/request/"+guess(i), url.Values{"wallet_nonce": {"x"}}) },
			"guessed response": func(i int) fetch.Request { return form("/response/"+guess(i), url.Values{"response": {"a.b.c.d.e"}}) },
			"guessed annex b":  func(i int) fetch.Request { return form("/annex-b/"+guess(i), url.Values{"response": {"x"}}) },
			"guessed mdoc": func(i int) fetch.Request {
				return fetch.Request{Method: "POST", URL: public + "/mdoc/" + guess(i), Body: []byte{0xa0}, Header: map[string]string{"content-type": "application/cbor"}}
			},
			"guessed result": func(i int) fetch.Request { return fetch.GetRequest(public+"/result/"+guess(i), "") },
			"guessed page":   func(i int) fetch.Request { return fetch.GetRequest(public+"/t/"+guess(i), "") },
			"guessed code":   func(i int) fetch.Request { return fetch.GetRequest(public+"/done?response_code="+guess(i), "") },
			"guessed watch":  func(i int) fetch.Request { return fetch.GetRequest(public+"/watch/"+guess(i), "") },
			"guessed events": func(i int) fetch.Request { return fetch.GetRequest(public+"/watch/"+guess(i)+"/events", "") },
			"guessed dc":     func(i int) fetch.Request { return page("GET", "/watch/"+guess(i)+"/dc", "") },
			"guessed dc answer": func(i int) fetch.Request {
				return page("POST", "/watch/"+guess(i)+"/dc", `{"protocol":"org-iso-mdoc","data":{}}`)
			},
			"another relying party": func(i int) fetch.Request {
				return fetch.GetRequest(fmt.Sprintf("http://verifier.localhost:8080/t%d/request/%s", i, handle), "")
			},
			"begun elsewhere": func(int) fetch.Request {
				r := page("POST", "/transactions", `{"ask":"age18"}`)
				r.Header["origin"] = "https://evil.example"
				return r
			},
			"deletion of nothing": func(int) fetch.Request { return page("POST", "/deletion", `{}`) },
			"empty deletion form": func(int) fetch.Request { return form("/deletion", url.Values{"message": {"x"}}) },
			"known request":       func(int) fetch.Request { return fetch.GetRequest(kept.RequestURI, "") },
			"known posted": func(i int) fetch.Request {
				return fetch.FormRequest(kept.RequestURI, url.Values{"wallet_nonce": {guess(i)}})
			},
			"known response": func(i int) fetch.Request { return form("/response/"+handle, url.Values{"response": {guess(i)}}) },
			"known, wrong state": func(i int) fetch.Request {
				return form("/response/"+handle, url.Values{"error": {"access_denied"}, "state": {guess(i)}})
			},
			"known dc": func(int) fetch.Request {
				return fetch.Request{Method: "GET", URL: kept.Watch + "/dc", Header: map[string]string{"origin": shop}}
			},
			"known dc answer": func(int) fetch.Request {
				return page("POST", "/watch/"+kept.Number+"/dc", `{"protocol":"org-iso-mdoc","data":{"response":"AAAA"}}`)
			},
			"known watch": func(int) fetch.Request { return fetch.GetRequest(kept.Watch, "") },
		} {
			answers := map[int]int{}
			for i := range flood {
				resp := w.serve(make(i))
				if resp.Status >= 500 {
					t.Fatalf("%s: %d %s", name, resp.Status, resp.Body)
				}
				answers[resp.Status]++
			}
			if d := cmp.Diff(before, w.size()); d != "" {
				t.Errorf("%s, answered %v, left:\n%s", name, answers, d)
				before = w.size()
			}
		}
		if rows, watchers, states := w.v.Watching(); rows+watchers+states != 0 {
			t.Errorf("%d rows, %d watchers and %d states stay in memory", rows, watchers, states)
		}
	})
}

// Requests to delete come from anybody: not many from one address, each once,
// and no more than an operator can deal with.
func TestFloodOfDeletions(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		guard := web.NewGuard(web.GuardOptions{PerAddress: 5, PerTenant: 1000, PerClient: 1, PerServer: 7, WrongPerAddress: 1, WrongPerTenant: 1, Now: w.Now})
		v, err := verifier.New(verifier.Config{}, verifier.Deps{DB: w.db, Area: w.area, Fetch: w.fetch, Guard: guard, Now: w.Now})
		w.check(err)
		w.v = v
		post := func(contact string) int {
			return w.serve(fetch.FormRequest(public+"/deletion", url.Values{"contact": {contact}, "message": {"please"}})).Status
		}
		answers := map[int]int{}
		for i := range 20 {
			answers[post(fmt.Sprintf("person %d", i))]++
		}
		if d := cmp.Diff(map[int]int{200: 5, 429: 15}, answers); d != "" || w.rows("deletion") != 5 {
			t.Errorf("%d rows: %s", w.rows("deletion"), d)
		}
		w.Pass(time.Minute)
		if status := post("person 1"); status != 200 || w.rows("deletion") != 5 { // the same again
			t.Errorf("%d, %d rows", status, w.rows("deletion"))
		}
		w.check(w.db.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			for i := range verifier.MaxDeletions - 5 {
				if _, err := tx.Exec(ctx, `insert into deletion (tenant, id, created, request, forget) values ('default', $1, 0, $2, $3)`,
					fmt.Sprint("filled", i), []byte{}, w.Now().Add(time.Hour).UnixMilli()); err != nil {
					return err
				}
			}
			return nil
		}))
		if status := post("one more"); status != 503 || w.rows("deletion") != verifier.MaxDeletions {
			t.Errorf("%d, %d rows", status, w.rows("deletion"))
		}
		w.Pass(200 * 24 * time.Hour)
		w.check(v.Sweep(t.Context()))
		if n := w.rows("deletion"); n != 0 {
			t.Errorf("%d rows half a year later", n)
		}
	})
}

// Pages at one address wait for only so many transactions at a time; the others
// ask for the state now and then, and the relying party's own system is not held
// back.
func TestFloodOfReadersAtOneAddress(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	guard := web.NewGuard(web.GuardOptions{PerAddress: 1, PerTenant: 1, PerClient: 1, PerServer: 1, WrongPerAddress: 1, WrongPerTenant: 1, StayPerAddress: 2, Now: w.Now})
	v, err := verifier.New(verifier.Config{}, verifier.Deps{DB: w.db, Area: w.area, Fetch: w.fetch, Guard: guard, Now: w.Now})
	w.check(err)
	w.v = v
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	from := func(ctx context.Context, address, to string) *httptest.ResponseRecorder {
		r, rec := httptest.NewRequestWithContext(ctx, "GET", to, nil), httptest.NewRecorder()
		r.RemoteAddr = address + ":1"
		v.Handler().ServeHTTP(rec, r)
		return rec
	}
	waiting := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, watchers, _ := v.Watching(); watchers == n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("never %d who wait", n)
			}
		}
	}
	for i, address := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2"} {
		tr := w.begin("mdl:family_name")
		all.Go(func() { from(ctx, address, tr.Watch+"/events") })
		waiting(i + 1)
	}
	tr := w.begin("mdl:family_name")
	for range flood {
		rec := from(t.Context(), "192.0.2.1", tr.Watch+"/events")
		if rec.Code != 429 || rec.Header().Get("Retry-After") == "" || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
		}
	}
	if rec := from(t.Context(), "192.0.2.1", tr.Watch); rec.Code != 200 {
		t.Errorf("who asks now and then: %d %s", rec.Code, rec.Body)
	}
	for i := range 3 { // as the API lets the relying party's system
		all.Go(func() {
			r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
			r.RemoteAddr = "192.0.2.1:1"
			if err := v.ServeChanges(httptest.NewRecorder(), r, "default", tr.Number); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		waiting(4 + i)
	}
	cancel()
	all.Wait()
	waiting(0)
	ended, stop := context.WithCancel(t.Context())
	stop()
	if rec := from(ended, "192.0.2.1", tr.Watch+"/events"); rec.Code == 429 {
		t.Error("places are not given back")
	}
}

// Those who wait take memory only up to a bound, and give it back.
func TestFloodOfReaders(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for i := range verifier.MaxWatchers / verifier.MaxPerRow {
		tr := w.begin("mdl:family_name")
		for range verifier.MaxPerRow {
			all.Go(func() {
				r := httptest.NewRequestWithContext(ctx, "GET", tr.Watch+"/events", nil)
				w.v.Handler().ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, n, _ := w.v.Watching(); n == (i+1)*verifier.MaxPerRow {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("they do not get to wait")
			}
		}
	}
	last := w.begin("mdl:family_name")
	for range flood {
		if resp := w.serve(fetch.GetRequest(last.Watch+"/events", "")); resp.Status != 503 || resp.Get("retry-after") == "" {
			t.Fatalf("%d %s", resp.Status, resp.Body)
		}
	}
	if resp := w.serve(fetch.GetRequest(last.Watch, "")); resp.Status != 200 { // who asks now and then is served
		t.Errorf("%d %s", resp.Status, resp.Body)
	}
	cancel()
	all.Wait()
	if rows, watchers, states := w.v.Watching(); rows+watchers+states != 0 {
		t.Errorf("%d rows, %d watchers and %d states stay in memory", rows, watchers, states)
	}
}

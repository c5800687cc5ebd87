package statuslist_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/statuslist"
)

const uri = "https://issuer.example/status/1"

var start = time.Unix(1_700_000_000, 0).UTC()

// server publishes one list and counts requests.
type server struct {
	t       testing.TB
	signer  *testkit.Key
	list    *status.List
	mu      sync.Mutex
	now     *statuslist.Published
	asked   int
	sent304 int
	down    error
	answer  func(fetch.Request) (fetch.Response, bool) // overrides
}

func newServer(t testing.TB) *server {
	t.Helper()
	l, err := status.NewList(1, statuslist.DefaultSize)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, signer: testkit.Signer(t, elliptic.P256()), list: l}
	s.publish(start)
	return s
}

func (s *server) publish(at time.Time) {
	s.t.Helper()
	p, err := statuslist.Publish(s.t.Context(), s.signer, statuslist.Edition{URI: uri, List: s.list, Now: at, Lifetime: 24 * time.Hour, TTL: time.Hour})
	if err != nil {
		s.t.Fatal(err)
	}
	s.now = p
}

func (s *server) fetch(_ context.Context, r fetch.Request) (fetch.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.down != nil {
		return fetch.Response{}, s.down
	}
	if s.answer != nil {
		if a, ok := s.answer(r); ok {
			return a, nil
		}
	}
	if r.URL != uri {
		return fetch.Response{Status: 404}, nil
	}
	media, body, etag, ok := s.now.Choose(r.Get("accept"))
	if !ok {
		return fetch.Response{Status: 406}, nil
	}
	if r.Get("if-none-match") == etag {
		s.sent304++
		return fetch.Response{Status: 304}, nil
	}
	return fetch.Response{Status: 200, Header: map[string]string{"content-type": media, "etag": etag}, Body: body}, nil
}

// trust believes the one key of the server, as a chain would tell it to.
func (s *server) trust(context.Context, statuslist.Question, *status.Token, time.Time) (crypto.PublicKey, check.Report) {
	var r check.Report
	r.Pass("chain", "ISO/IEC 18013-5 second edition (draft v4), 12.3.6", "test")
	return s.signer.Public(), r
}

func ask(index uint64, mso bool) statuslist.Question {
	return statuslist.Question{Claim: status.Claim{List: &status.ListReference{Index: index, URI: uri}}, MSO: mso}
}

func (s *server) revoke(index uint64, at time.Time) {
	s.t.Helper()
	if err := s.list.Set(index, status.Invalid); err != nil {
		s.t.Fatal(err)
	}
	s.publish(at)
}

func TestFetcherLife(t *testing.T) {
	for _, mso := range []bool{true, false} {
		s := newServer(t)
		f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
		v, r := f.Check(t.Context(), ask(7, mso), start.Add(time.Minute))
		if v.Outcome != statuslist.Valid || v.Age != time.Minute || v.Stale || !r.OK() {
			t.Fatalf("MSO %v: %+v\n%v", mso, v, r)
		}
		if c, ok := r.Find("revocation"); !ok || c.Outcome != check.Pass {
			t.Errorf("report has no verdict:\n%v", r)
		}
		s.revoke(7, start.Add(2*time.Minute))
		if v, _ = f.Check(t.Context(), ask(7, mso), start.Add(time.Hour)); v.Outcome != statuslist.Valid || s.asked != 1 {
			t.Errorf("within ttl: %+v after %d requests", v, s.asked)
		}
		v, r = f.Check(t.Context(), ask(7, mso), start.Add(time.Minute+time.Hour))
		if v.Outcome != statuslist.Invalid || v.Age != 59*time.Minute || r.OK() || s.asked != 2 {
			t.Errorf("after ttl: %+v after %d requests\n%v", v, s.asked, r)
		}
		if c, ok := r.Find("revocation"); !ok || c.Outcome != check.Fail || !strings.Contains(c.Seen, "revoked") {
			t.Errorf("report does not say so:\n%v", r)
		}
		if v, r = f.Check(t.Context(), ask(8, mso), start.Add(2*time.Hour)); v.Outcome != statuslist.Valid || !r.OK() {
			t.Errorf("neighbour: %+v", v)
		}
		if _, r = f.Check(t.Context(), ask(8, mso), start.Add(4*time.Hour)); !r.OK() || s.sent304 != 1 {
			t.Errorf("unchanged list was sent again (%d not modified)\n%v", s.sent304, r)
		}
	}
}

func TestFetcherOffline(t *testing.T) {
	s := newServer(t)
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	s.down = errors.New("no route to host")
	v, r := f.Check(t.Context(), ask(7, true), start)
	if v.Outcome != statuslist.Unknown || !r.OK() {
		t.Fatalf("never online: %+v\n%v", v, r)
	}
	if c, ok := r.Find("status list"); !ok || c.Outcome != check.Skip || !strings.Contains(c.Seen, "no route") {
		t.Errorf("the reason is not in the report:\n%v", r)
	}
	if c, ok := r.Find("revocation"); !ok || c.Outcome != check.Skip {
		t.Errorf("the verdict is not in the report:\n%v", r)
	}
	if f.Check(t.Context(), ask(7, true), start.Add(time.Second)); s.asked != 1 {
		t.Errorf("asked again after a second")
	}
	s.down = nil
	if v, _ = f.Check(t.Context(), ask(7, true), start.Add(time.Minute)); v.Outcome != statuslist.Valid {
		t.Errorf("back online: %+v", v)
	}
	s.down = errors.New("no route to host")
	v, r = f.Check(t.Context(), ask(7, true), start.Add(2*time.Hour))
	if v.Outcome != statuslist.Valid || !v.Stale || v.Age != 2*time.Hour || !r.OK() {
		t.Errorf("stale copy: %+v\n%v", v, r)
	}
	if c, ok := r.Find("freshness"); !ok || c.Outcome != check.Warn {
		t.Errorf("staleness is not reported:\n%v", r)
	}
	if v, r = f.Check(t.Context(), ask(7, true), start.Add(24*time.Hour+time.Minute)); v.Outcome != statuslist.Unknown || !r.OK() {
		t.Errorf("expired copy: %+v\n%v", v, r)
	}
}

func TestPack(t *testing.T) {
	s := newServer(t)
	s.revoke(7, start)
	online := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	if err := online.Prefetch(t.Context(), ask(0, true), start); err != nil {
		t.Fatal(err)
	}
	if err := online.Prefetch(t.Context(), ask(0, false), start); err != nil {
		t.Fatal(err)
	}
	copies := online.Copies()
	if len(copies) != 2 {
		t.Fatalf("%d copies, want a JWT and a CWT", len(copies))
	}
	offline := statuslist.NewFetcher(nil, s.trust, statuslist.Options{})
	for _, c := range copies {
		if err := offline.Preload(c); err != nil {
			t.Fatal(err)
		}
	}
	for index, want := range map[uint64]statuslist.Outcome{7: statuslist.Invalid, 8: statuslist.Valid} {
		for _, mso := range []bool{true, false} {
			if v, r := offline.Check(t.Context(), ask(index, mso), start.Add(time.Minute)); v.Outcome != want || v.Stale || v.Age != time.Minute {
				t.Errorf("[%d]: %+v\n%v", index, v, r)
			}
		}
	}
	if v, _ := offline.Check(t.Context(), ask(8, true), start.Add(3*time.Hour)); v.Outcome != statuslist.Valid || !v.Stale {
		t.Errorf("old pack: %+v", v)
	}
	if v, _ := offline.Check(t.Context(), ask(8, true), start.Add(25*time.Hour)); v.Outcome != statuslist.Unknown {
		t.Errorf("expired pack: %+v", v)
	}
	if err := offline.Preload(statuslist.Copy{Token: []byte("eyJ")}); err == nil {
		t.Error("a pack with rubbish was loaded")
	}
	if err := offline.Prefetch(t.Context(), ask(8, true), start.Add(25*time.Hour)); err == nil {
		t.Error("prefetched without a network")
	}
	stranger := statuslist.NewFetcher(nil, newServer(t).trust, statuslist.Options{})
	if err := stranger.Preload(copies[0]); err != nil {
		t.Fatal(err)
	}
	v, r := stranger.Check(t.Context(), ask(8, false), start)
	w, q := stranger.Check(t.Context(), ask(8, true), start)
	if v.Outcome != statuslist.Unknown || w.Outcome != statuslist.Unknown || r.OK() && q.OK() {
		t.Errorf("a pack of a signer that is not trusted: %+v, %+v", v, w)
	}
}

func TestFetcherHostileServer(t *testing.T) {
	other := newServer(t)
	two, err := status.NewList(2, 16)
	if err != nil {
		t.Fatal(err)
	}
	good := newServer(t)
	tests := []struct {
		name  string
		body  func() []byte
		check string // that fails, "" if the list counts as not had
	}{
		{"another signer", func() []byte { return other.now.CWT }, "signature"},
		{"another list", func() []byte { return edition(t, good, statuslist.Edition{URI: uri + "0", List: good.list}) }, "subject"},
		{"two bits", func() []byte { return edition(t, good, statuslist.Edition{URI: uri, List: two}) }, "bits"},
		{"a JWT", func() []byte { return good.now.JWT }, "chain header"},
		{"rubbish", func() []byte { return []byte{0xd2, 0x84} }, ""},
		{"nothing", func() []byte { return nil }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := tt.body()
			hostile := true
			good.answer = func(fetch.Request) (fetch.Response, bool) {
				return fetch.Response{Status: 200, Body: body}, hostile
			}
			f := statuslist.NewFetcher(good.fetch, good.trust, statuslist.Options{})
			v, r := f.Check(t.Context(), ask(7, true), start.Add(time.Minute))
			if v.Outcome != statuslist.Unknown {
				t.Errorf("%+v\n%v", v, r)
			}
			failed := ""
			for _, c := range r.Failed() {
				failed += c.Name
			}
			if failed != tt.check {
				t.Errorf("failed %q, want %q", failed, tt.check)
			}
			// As soon as the right list is back, it is used.
			hostile = false
			if tt.check == "bits" {
				return // the token itself is right: it is kept for its ttl
			}
			if v, r = f.Check(t.Context(), ask(7, true), start.Add(2*time.Minute)); v.Outcome != statuslist.Valid {
				t.Errorf("afterwards: %+v\n%v", v, r)
			}
			// And a right copy is not given up for a wrong one.
			hostile = true
			if v, r = f.Check(t.Context(), ask(7, true), start.Add(3*time.Hour)); v.Outcome != statuslist.Valid || !v.Stale {
				t.Errorf("with a good copy: %+v\n%v", v, r)
			}
		})
	}
}

// edition signs a list as s would and returns the CWT.
func edition(t testing.TB, s *server, e statuslist.Edition) []byte {
	t.Helper()
	e.Now, e.Lifetime = start, 24*time.Hour
	p, err := statuslist.Publish(t.Context(), s.signer, e)
	if err != nil {
		t.Fatal(err)
	}
	return p.CWT
}

func TestFetcherRollback(t *testing.T) {
	s := newServer(t)
	old := s.now
	s.revoke(7, start.Add(time.Minute))
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	if v, _ := f.Check(t.Context(), ask(7, true), start.Add(time.Minute)); v.Outcome != statuslist.Invalid {
		t.Fatalf("%+v", v)
	}
	s.now = old // still valid by its exp, but from before the revocation
	if v, _ := f.Check(t.Context(), ask(7, true), start.Add(3*time.Hour)); v.Outcome != statuslist.Invalid || !v.Stale {
		t.Errorf("an older list undoes a revocation: %+v", v)
	}
}

func TestFetcherRedirects(t *testing.T) {
	s := newServer(t)
	location := "/moved/1"
	s.answer = func(r fetch.Request) (fetch.Response, bool) {
		switch r.URL {
		case uri:
			return fetch.Response{Status: 302, Header: map[string]string{"location": location}}, true
		case "https://issuer.example/moved/1":
			return fetch.Response{Status: 200, Body: s.now.CWT}, true
		case "https://issuer.example/loop":
			return fetch.Response{Status: 307, Header: map[string]string{"location": "/loop"}}, true
		}
		return fetch.Response{Status: 404}, true
	}
	for target, want := range map[string]statuslist.Outcome{
		"/moved/1":                       statuslist.Valid,
		"/loop":                          statuslist.Unknown,
		"":                               statuslist.Unknown,
		"http://issuer.example/moved/1":  statuslist.Unknown,
		"https://elsewhere.example/else": statuslist.Unknown,
	} {
		location, s.asked = target, 0
		f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
		if v, r := f.Check(t.Context(), ask(7, true), start); v.Outcome != want || s.asked > 4 {
			t.Errorf("redirect to %q: %+v after %d requests\n%v", target, v, s.asked, r)
		}
	}
}

func TestFetcherTrustRefuses(t *testing.T) {
	s := newServer(t)
	no := func(context.Context, statuslist.Question, *status.Token, time.Time) (crypto.PublicKey, check.Report) {
		var r check.Report
		r.Fail("chain", "ISO/IEC 18013-5 second edition (draft v4), 12.3.6", "another authority", "")
		return s.signer.Public(), r
	}
	v, r := statuslist.NewFetcher(s.fetch, no, statuslist.Options{}).Check(t.Context(), ask(7, true), start)
	if v.Outcome != statuslist.Unknown || len(r.Failed()) != 1 || r.Failed()[0].Name != "status signer: chain" {
		t.Errorf("%+v\n%v", v, r)
	}
}

func TestFetcherBothReferences(t *testing.T) {
	s := newServer(t)
	const ids = "https://issuer.example/ids/1"
	raw, err := status.SignIdentifiersCWT(t.Context(), s.signer, status.Headers{},
		status.Claims{URI: ids, Issued: start, Expires: start.Add(time.Hour)}, [][]byte{{1}}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.answer = func(r fetch.Request) (fetch.Response, bool) {
		return fetch.Response{Status: 200, Body: raw}, r.URL == ids && r.Get("accept") == status.MediaIdentifiersCWT
	}
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	for id, want := range map[byte]statuslist.Outcome{1: statuslist.Invalid, 2: statuslist.Valid} {
		q := ask(7, true)
		q.Claim.Identifier = &status.IdentifierReference{ID: []byte{id}, URI: ids}
		if v, r := f.Check(t.Context(), q, start); v.Outcome != want || r.OK() != (want == statuslist.Valid) {
			t.Errorf("id %d: %+v\n%v", id, v, r)
		}
	}
	if v, r := f.Check(t.Context(), statuslist.Question{}, start); v.Outcome != statuslist.Unknown || !r.OK() {
		t.Errorf("no reference: %+v", v)
	}
}

func TestFetcherSuspended(t *testing.T) {
	s := newServer(t)
	l, err := status.NewList(2, 16)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range []status.Status{status.Valid, status.Invalid, status.Suspended, 3} {
		if err := l.Set(uint64(i), v); err != nil {
			t.Fatal(err)
		}
	}
	s.list = l
	s.publish(start)
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	for i, want := range []statuslist.Outcome{statuslist.Valid, statuslist.Invalid, statuslist.Suspended, statuslist.Other} {
		v, r := f.Check(t.Context(), ask(uint64(i), false), start)
		if v.Outcome != want || r.OK() != (want == statuslist.Valid) {
			t.Errorf("[%d]: %+v\n%v", i, v, r)
		}
	}
	if v, r := f.Check(t.Context(), ask(16, false), start); v.Outcome != statuslist.Unknown || r.OK() {
		t.Errorf("past the list: %+v", v)
	}
}

func TestFetcherConcurrently(t *testing.T) {
	s := newServer(t)
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{MaxCopies: 1})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				if v, _ := f.Check(t.Context(), ask(uint64(i), true), start.Add(time.Duration(j)*time.Minute)); v.Outcome != statuslist.Valid {
					t.Errorf("%+v", v)
				}
			}
		})
	}
	wg.Wait()
	if s.asked != 1 {
		t.Errorf("%d requests for one list", s.asked)
	}
}

func TestChoose(t *testing.T) {
	p := newServer(t).now
	tests := []struct{ accept, want string }{
		{"", status.MediaListJWT},
		{"*/*", status.MediaListJWT},
		{"application/*", status.MediaListJWT},
		{"application/statuslist+cwt", status.MediaListCWT},
		{"Application/StatusList+CWT", status.MediaListCWT},
		{"application/statuslist+jwt;q=0.5, application/statuslist+cwt", status.MediaListCWT},
		{"application/statuslist+cwt; q=0.2, */*; q=0.1", status.MediaListCWT},
		{"application/statuslist+jwt;q=0, */*", status.MediaListCWT},
		{"text/html", ""},
		{"*/*;q=0", ""},
		{"*/*;q=nonsense", ""},
	}
	for _, tt := range tests {
		media, body, etag, ok := p.Choose(tt.accept)
		if media != tt.want || ok != (tt.want != "") || ok && (len(body) == 0 || !strings.HasPrefix(etag, `"`)) {
			t.Errorf("Accept %q: %q, %v", tt.accept, media, ok)
		}
	}
	if p.JWTTag == p.CWTTag {
		t.Error("both formats have one ETag")
	}
}

func TestPublishRefuses(t *testing.T) {
	s := newServer(t)
	for name, e := range map[string]statuslist.Edition{
		"no list":         {URI: uri, Now: start, Lifetime: time.Hour},
		"no lifetime":     {URI: uri, Now: start, List: s.list},
		"ttl beyond exp":  {URI: uri, Now: start, List: s.list, Lifetime: time.Hour, TTL: 2 * time.Hour},
		"no absolute URI": {URI: "/1", Now: start, List: s.list, Lifetime: time.Hour},
		"no time":         {URI: uri, List: s.list, Lifetime: time.Hour},
	} {
		if _, err := statuslist.Publish(t.Context(), s.signer, e); err == nil {
			t.Errorf("%s: published", name)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	s := newServer(b)
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	b.ReportAllocs()
	for b.Loop() {
		if v, _ := f.Check(b.Context(), ask(7, true), start); v.Outcome != statuslist.Valid {
			b.Fatal(v)
		}
	}
}

package statuslist_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/statuslist"
)

// sign makes a CWT of the server's key with claims that Publish would not make.
func (s *server) sign(c status.Claims, list status.Compressed) []byte {
	s.t.Helper()
	raw, err := status.SignCWT(s.t.Context(), s.signer, status.Headers{}, c, list)
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

func (s *server) compressed() status.Compressed {
	s.t.Helper()
	c, err := s.list.Compress()
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// serve answers every request with a body.
func (s *server) serve(body []byte, header map[string]string) {
	s.answer = func(fetch.Request) (fetch.Response, bool) {
		return fetch.Response{Status: 200, Body: body, Header: header}, true
	}
}

// A list cannot make its readers ask at every document.
func TestFetcherIsNotMadeToAsk(t *testing.T) {
	for name, claims := range map[string]status.Claims{
		"ttl of a second": {URI: uri, Issued: start, Expires: start.Add(time.Hour), TTL: time.Second},
		"expired":         {URI: uri, Issued: start.Add(-time.Hour), Expires: start.Add(-time.Minute / 2), TTL: time.Hour},
		"expired before":  {URI: uri, Issued: start.Add(-2 * time.Hour), Expires: start.Add(-time.Hour)},
	} {
		s := newServer(t)
		s.serve(s.sign(claims, s.compressed()), nil)
		f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
		for i := range 90 {
			v, r := f.Check(t.Context(), ask(7, true), start.Add(time.Duration(i)*100*time.Millisecond))
			if late := name == "expired before"; late != (v.Outcome == statuslist.Unknown) {
				t.Fatalf("%s: %+v\n%v", name, v, r)
			}
		}
		if s.asked != 1 {
			t.Errorf("%s: %d requests in 9 seconds", name, s.asked)
		}
		if f.Check(t.Context(), ask(7, true), start.Add(time.Minute)); s.asked != 2 {
			t.Errorf("%s: %d requests after a minute", name, s.asked)
		}
	}
}

// How long a copy counts that cannot be renewed is limited, by the reader's own
// policy and where the list names no end.
func TestFetcherMaxStale(t *testing.T) {
	endless := status.Claims{URI: uri, Issued: start, TTL: time.Hour}
	daily := status.Claims{URI: uri, Issued: start, Expires: start.Add(24 * time.Hour), TTL: time.Hour}
	const week = 7 * 24 * time.Hour
	for _, tt := range []struct {
		claims status.Claims
		limit  time.Duration
		age    time.Duration
		want   statuslist.Outcome
	}{
		{daily, 0, 23 * time.Hour, statuslist.Valid},
		{daily, 2 * time.Hour, 3*time.Hour - time.Second, statuslist.Valid},
		{daily, 2 * time.Hour, 3 * time.Hour, statuslist.Unknown},
		{daily, week, 25 * time.Hour, statuslist.Unknown},
		{endless, 0, week + time.Hour - time.Second, statuslist.Valid},
		{endless, 0, week + time.Hour, statuslist.Unknown},
		{endless, 2 * week, 2 * week, statuslist.Valid},
	} {
		s := newServer(t)
		f := statuslist.NewFetcher(nil, s.trust, statuslist.Options{MaxStale: tt.limit})
		token, err := status.SignJWT(t.Context(), s.signer, status.Headers{}, tt.claims, s.compressed())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Preload(statuslist.Copy{Token: token, Fetched: start}); err != nil {
			t.Fatal(err)
		}
		if v, r := f.Check(t.Context(), ask(7, false), start.Add(tt.age)); v.Outcome != tt.want || !v.Stale || !r.OK() {
			t.Errorf("limit %v, age %v: %+v\n%v", tt.limit, tt.age, v, r)
		}
	}
}

// A copy is not given up for a list that its issuer signed but that is not
// whole, nor kept for an answer that nobody asked for.
func TestFetcherKeepsWhatIsWhole(t *testing.T) {
	s := newServer(t)
	s.revoke(7, start)
	newer := func(list status.Compressed) []byte {
		return s.sign(status.Claims{URI: uri, Issued: start.Add(time.Hour), Expires: start.Add(25 * time.Hour)}, list)
	}
	var bomb bytes.Buffer
	w := zlib.NewWriter(&bomb)
	if _, err := w.Write(make([]byte, status.MaxListBytes+1)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	whole := s.compressed()
	for name, list := range map[string]status.Compressed{
		"bomb":         {Bits: 1, Data: bomb.Bytes()},
		"cut off":      {Bits: 1, Data: whole.Data[:len(whole.Data)-5]},
		"checksum":     {Bits: 1, Data: append(bytes.Clone(whole.Data[:len(whole.Data)-1]), whole.Data[len(whole.Data)-1]^1)},
		"bytes behind": {Bits: 1, Data: append(bytes.Clone(whole.Data), 0)},
		"no entries":   {Bits: 1, Data: []byte{0x78, 0xda, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01}},
	} {
		s.answer = nil
		f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
		if v, _ := f.Check(t.Context(), ask(7, true), start); v.Outcome != statuslist.Invalid {
			t.Fatal(v)
		}
		s.serve(newer(list), nil)
		if v, r := f.Check(t.Context(), ask(7, true), start.Add(2*time.Hour)); v.Outcome != statuslist.Invalid || !v.Stale {
			t.Errorf("%s, with a copy: %+v\n%v", name, v, r)
		}
		v, r := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{}).Check(t.Context(), ask(7, true), start.Add(2*time.Hour))
		if v.Outcome != statuslist.Unknown || len(r.Failed()) != 1 || r.Failed()[0].Name != "status list" {
			t.Errorf("%s, without: %+v\n%v", name, v, r)
		}
	}
	// Without an ETag nothing was asked that "not modified" could answer.
	s.serve(s.now.CWT, map[string]string{"etag": strings.Repeat("e", 1000)})
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	f.Check(t.Context(), ask(7, true), start)
	s.answer = func(r fetch.Request) (fetch.Response, bool) {
		if r.Get("if-none-match") != "" {
			t.Error("a huge ETag was sent back")
		}
		return fetch.Response{Status: 304}, true
	}
	if v, r := f.Check(t.Context(), ask(7, true), start.Add(2*time.Hour)); !v.Stale {
		t.Errorf("not modified, unasked: %+v\n%v", v, r)
	}
}

// A pack from a machine whose clock was ahead does not keep newer lists away.
func TestPackFromTheFuture(t *testing.T) {
	s := newServer(t)
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	if err := f.Preload(statuslist.Copy{Token: s.now.CWT, Fetched: start.AddDate(1, 0, 0)}); err != nil {
		t.Fatal(err)
	}
	s.revoke(7, start.Add(time.Minute))
	if v, r := f.Check(t.Context(), ask(7, true), start.Add(time.Minute)); v.Outcome != statuslist.Invalid {
		t.Errorf("%+v\n%v", v, r)
	}
}

// One address may not be two things: what was checked of a status list is not
// taken for an identifier list.
func TestFetcherKinds(t *testing.T) {
	s := newServer(t)
	f := statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	if v, _ := f.Check(t.Context(), ask(7, true), start); v.Outcome != statuslist.Valid {
		t.Fatal(v)
	}
	q := statuslist.Question{Claim: status.Claim{Identifier: &status.IdentifierReference{ID: []byte{1}, URI: uri}}, MSO: true}
	if v, r := f.Check(t.Context(), q, start.Add(time.Second)); v.Outcome != statuslist.Unknown || r.OK() {
		t.Errorf("%+v\n%v", v, r)
	}
	if v, r := f.Check(t.Context(), ask(7, true), start.Add(time.Minute)); v.Outcome != statuslist.Valid {
		t.Errorf("afterwards: %+v\n%v", v, r)
	}
	// Nor is what suffices for others taken to suffice for an mdoc.
	endless, err := status.SignIdentifiersCWT(t.Context(), s.signer, status.Headers{}, status.Claims{URI: uri, Issued: start}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(endless, nil)
	f = statuslist.NewFetcher(s.fetch, s.trust, statuslist.Options{})
	q.MSO = false
	if v, r := f.Check(t.Context(), q, start); v.Outcome != statuslist.Valid {
		t.Errorf("%+v\n%v", v, r)
	}
	q.MSO = true
	if v, r := f.Check(t.Context(), q, start); v.Outcome != statuslist.Unknown || len(r.Failed()) != 1 || r.Failed()[0].Name != "expiry" {
		t.Errorf("%+v\n%v", v, r)
	}
}

// What comes over HTTP is bounded after it is unpacked, whatever it says of its
// length.
func TestFetcherHTTP(t *testing.T) {
	s := newServer(t)
	s.revoke(7, start)
	var packed, bomb bytes.Buffer
	pack := func(to *bytes.Buffer, body []byte) {
		z := gzip.NewWriter(to)
		if _, err := z.Write(body); err != nil {
			t.Fatal(err)
		}
		z.Close()
	}
	pack(&packed, s.now.JWT)
	pack(&bomb, append(bytes.Clone(s.now.JWT), make([]byte, 64<<20)...))
	var answer func(http.ResponseWriter)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("gzip was not asked for")
		}
		answer(w)
	}))
	defer server.Close()
	client, err := web.NewClient(web.Options{AllowLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	moved := func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		r.URL = server.URL
		return client(ctx, r)
	}
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter)
		want   statuslist.Outcome
	}{
		"packed": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(packed.Bytes())
		}, statuslist.Invalid},
		"bomb": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
		}, statuslist.Unknown},
		"claims to be huge": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", strconv.Itoa(1<<40))
			w.Write(s.now.JWT)
		}, statuslist.Unknown},
		"longer than a token": {func(w http.ResponseWriter) {
			for range 80 {
				w.Write(make([]byte, 1<<16))
			}
		}, statuslist.Unknown},
		"shorter than it says": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", strconv.Itoa(len(s.now.JWT)))
			w.Write(s.now.JWT[:len(s.now.JWT)-10])
		}, statuslist.Unknown},
	} {
		answer = tt.answer
		v, r := statuslist.NewFetcher(moved, s.trust, statuslist.Options{}).Check(t.Context(), ask(7, false), start)
		if v.Outcome != tt.want || tt.want == statuslist.Unknown && !r.OK() {
			t.Errorf("%s: %+v\n%v", name, v, r)
		}
	}
}

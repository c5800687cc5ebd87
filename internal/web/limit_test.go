package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	b := NewBuckets[string](3, time.Minute)
	for range 3 {
		if wait := b.Take("a", 1, now); wait != 0 {
			t.Fatalf("wait %v with tokens left", wait)
		}
	}
	if wait := b.Take("a", 1, now); wait != 20*time.Second {
		t.Errorf("empty: %v", wait)
	}
	if wait := b.Wait("b", 3, now); wait != 0 {
		t.Errorf("another's: %v", wait)
	}
	if wait := b.Wait("b", 4, now); wait == 0 {
		t.Error("more than a bucket holds")
	}
	now = now.Add(20 * time.Second)
	if wait := b.Take("a", 1, now); wait != 0 {
		t.Errorf("after one has come: %v", wait)
	}
	if wait := b.Take("a", 2, now); wait != 40*time.Second {
		t.Errorf("two at once: %v", wait)
	}
	now = now.Add(time.Hour) // no more than a bucket holds
	if b.Take("a", 3, now) != 0 || b.Take("a", 1, now) == 0 {
		t.Error("an hour later")
	}
}

func TestBucketsAreBounded(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	b := NewBuckets[int](1, time.Hour)
	b.Take(-1, 1, now)
	for i := range 3 * maxBuckets {
		b.Take(i, 1, now)
		if n := len(b.full) + len(b.before); n > maxBuckets {
			t.Fatalf("%d buckets are remembered", n)
		}
	}
	if b.Take(3*maxBuckets-1, 1, now) == 0 || b.Take(3*maxBuckets-maxBuckets/4, 1, now) == 0 {
		t.Error("forgot who asked just now")
	}
}

func TestAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote, forwarded string
		want              string
	}{
		{"203.0.113.7:1", "", "203.0.113.7/32"},
		{"[2001:db8:1:2:3::4]:1", "", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2::%eth0]:1", "", "2001:db8:1:2::/64"},
		{"[::ffff:203.0.113.7]:1", "", "203.0.113.7/32"},
		{"203.0.113.7:1", "198.51.100.9", "203.0.113.7/32"}, // no proxy says so
		{"10.1.1.1:1", "198.51.100.9", "198.51.100.9/32"},
		{"10.1.1.1:1", "192.0.2.1, 198.51.100.9", "198.51.100.9/32"}, // the first is the client's invention
		{"10.1.1.1:1", "198.51.100.9, 10.2.2.2", "198.51.100.9/32"},  // two proxies
		{"[fd00::1]:1", "2001:db8::9", "2001:db8::/64"},
		{"10.1.1.1:1", "unknown", "10.1.1.1/32"},
		{"10.1.1.1:1", "198.51.100.9, nonsense", "10.1.1.1/32"},
		{"10.1.1.1:1", "", "10.1.1.1/32"},
		{"@", "", "invalid Prefix"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := addressBehind(r, proxies).String(); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

func TestGuard(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	g := NewGuard(GuardOptions{PerAddress: 2, PerTenant: 3, PerClient: 1, PerServer: 7, WrongPerAddress: 1, WrongPerTenant: 2, StayPerAddress: 1, Now: func() time.Time { return now }})
	h := ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		if err := g.Admit(r, r.Host, 1); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
	from := func(address, tenant string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "http://"+tenant+"/", nil)
		r.RemoteAddr = address + ":1"
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	for _, c := range []struct {
		address, tenant string
		want            int
	}{
		{"192.0.2.1", "one", 204}, {"192.0.2.1", "one", 204}, {"192.0.2.1", "one", 429}, {"192.0.2.1", "two", 429},
		{"192.0.2.2", "one", 204}, {"192.0.2.3", "one", 429}, {"192.0.2.3", "two", 204},
	} {
		rec := from(c.address, c.tenant)
		if rec.Code != c.want {
			t.Errorf("%s at %s: %d", c.address, c.tenant, rec.Code)
		}
		if rec.Code == 429 && (rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "try again in")) {
			t.Errorf("%v %s", rec.Header(), rec.Body)
		}
	}
	now = now.Add(time.Minute)
	if rec := from("192.0.2.1", "one"); rec.Code != 204 {
		t.Errorf("a minute later: %d", rec.Code)
	}
	if g.Client("a") != 0 || g.Client("a") != time.Minute || g.Client("b") != 0 {
		t.Error("clients")
	}
	for range 7 {
		if g.Server("a") != 0 {
			t.Error("a service")
		}
	}
	if g.Server("a") == 0 {
		t.Error("a service without a bound")
	}
	guess := func(address string) bool {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = address + ":1"
		err := g.Guess(r, "one")
		g.Wrong(r, "one")
		return err == nil
	}
	if !guess("192.0.2.1") || guess("192.0.2.1") || guess("192.0.2.2") {
		t.Error("guesses")
	}
	var none *Guard
	if none.Admit(nil, "", 1) != nil || none.Guess(nil, "") != nil || none.Client("") != 0 {
		t.Error("a nil Guard holds back")
	}
}

// With as many connections open as may be, the next waits until one ends.
func TestConnectionsAreBounded(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, http.NotFoundHandler(), ServeOptions{Connections: 2}) }()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	answered := func(c net.Conn, within time.Duration) bool {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(within))
		n, err := c.Read(make([]byte, 16))
		return n > 0 && (err == nil || err == io.EOF)
	}
	first, second, third := dial(), dial(), dial()
	if !answered(first, time.Minute) || !answered(second, time.Minute) {
		t.Fatal("no answer within the bound")
	}
	if answered(third, 100*time.Millisecond) {
		t.Error("three connections at once")
	}
	first.Close()
	if !answered(third, time.Minute) {
		t.Error("the third still waits after the first has ended")
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// One address keeps so many things open at a time, a proxy for each of those
// behind it, and what was given back may be taken again.
func TestStay(t *testing.T) {
	g := NewGuard(GuardOptions{PerAddress: 1, PerTenant: 1, PerClient: 1, PerServer: 1, WrongPerAddress: 1, WrongPerTenant: 1, StayPerAddress: 2,
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	from := func(address, forwarded string) (func(), error) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = address
		r.Header.Set("X-Forwarded-For", forwarded)
		return g.Stay(r, "Too many wait here.")
	}
	var leave []func()
	for _, c := range []struct {
		address, forwarded string
		ok                 bool
	}{
		{"192.0.2.1:1", "", true}, {"192.0.2.1:2", "", true}, {"192.0.2.1:3", "", false}, {"192.0.2.1:4", "192.0.2.9", false},
		{"192.0.2.2:1", "", true}, {"10.0.0.1:1", "192.0.2.1", false}, {"10.0.0.1:1", "192.0.2.3", true},
		{"[2001:db8::1]:1", "", true}, {"[2001:db8::2]:1", "", true}, {"[2001:db8::3]:1", "", false},
	} {
		done, err := from(c.address, c.forwarded)
		if (err == nil) != c.ok {
			t.Errorf("%s for %q: %v", c.address, c.forwarded, err)
		}
		if err == nil {
			leave = append(leave, done)
			continue
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusTooManyRequests || e.Wait == 0 {
			t.Errorf("%+v", err)
		}
	}
	for _, done := range leave {
		done()
	}
	if len(g.staying) != 0 {
		t.Errorf("%v are remembered", g.staying)
	}
	if _, err := from("192.0.2.1:5", ""); err != nil {
		t.Error(err)
	}
	var none *Guard
	if done, err := none.Stay(httptest.NewRequest("GET", "/", nil), ""); err != nil {
		t.Error(err)
	} else {
		done()
	}
}

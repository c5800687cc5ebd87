package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
)

func newClient(t *testing.T, o Options) fetch.Func {
	t.Helper()
	f, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// local starts a server and returns its address under a *.localhost name.
func local(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "http://issuer.localhost:" + port
}

func TestClientExchanges(t *testing.T) {
	base := local(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", strings.Join([]string{r.Method, r.Host, r.URL.Path, r.Header.Get("DPoP"), string(body)}, " "))
		w.Header().Add("DPoP-Nonce", "n1")
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "answer")
	})
	r := fetch.Request{Method: "POST", URL: base + "/token", Header: map[string]string{"dpop": "proof"}, Body: []byte("form")}
	resp, err := newClient(t, Options{AllowLoopback: true})(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(base, "http://")
	if got, want := resp.Header["x-seen"], "POST "+host+" /token proof form"; got != want {
		t.Errorf("server saw %q, want %q", got, want)
	}
	if resp.Status != 400 || string(resp.Body) != "answer" || resp.Header["dpop-nonce"] != "n1" {
		t.Errorf("answer %d %q %v", resp.Status, resp.Body, resp.Header)
	}
}

func TestClientFollowsNoRedirect(t *testing.T) {
	base := local(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Error("redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	resp, err := newClient(t, Options{AllowLoopback: true})(t.Context(), fetch.GetRequest(base+"/", ""))
	if err != nil || resp.Status != 302 || resp.Header["location"] != "/elsewhere" {
		t.Errorf("%d %v, error %v", resp.Status, resp.Header, err)
	}
}

func TestClientLimitsSize(t *testing.T) {
	base := local(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush() // no Content-Length
		}
		w.Write(make([]byte, 1000))
	})
	f := newClient(t, Options{AllowLoopback: true})
	for _, path := range []string{"/", "/chunked"} {
		r := fetch.GetRequest(base+path, "")
		r.MaxBytes = 1000
		if resp, err := f(t.Context(), r); err != nil || len(resp.Body) != 1000 {
			t.Errorf("%s at the limit: %d bytes, error %v", path, len(resp.Body), err)
		}
		r.MaxBytes = 999
		if _, err := f(t.Context(), r); !errors.Is(err, fetch.ErrTooLarge) {
			t.Errorf("%s above the limit: %v", path, err)
		}
	}
}

func TestClientLimitsTime(t *testing.T) {
	done := make(chan struct{})
	base := local(t, func(http.ResponseWriter, *http.Request) { <-done })
	defer close(done)
	_, err := newClient(t, Options{AllowLoopback: true, Timeout: 50 * time.Millisecond})(t.Context(), fetch.GetRequest(base+"/path?secret", ""))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("slow server: %v", err)
	}
}

func TestClientRefusesAddresses(t *testing.T) {
	called := false
	base := local(t, func(http.ResponseWriter, *http.Request) { called = true })
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer s.Close()
	f := newClient(t, Options{})
	for _, u := range []string{base, s.URL, "http://example.com/", "ftp://example.com/", "https://user:secret@example.com/", "https:///x", "/x", ""} {
		if _, err := f(t.Context(), fetch.GetRequest(u, "")); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", u, err)
		}
	}
	if _, err := f(t.Context(), fetch.GetRequest(s.URL, "")); !errors.Is(err, fetch.ErrForbidden) {
		t.Errorf("loopback over https: %v", err)
	}
	if called {
		t.Error("a loopback server was reached without leave")
	}
}

func TestCheckAddress(t *testing.T) {
	const public, private, loopback, never = 0, 1, 2, 3
	for address, kind := range map[string]int{
		"93.184.215.14:443":           public,
		"[2606:2800:21f:cb07::1]:443": public,
		"127.0.0.1:80":                loopback,
		"127.8.9.10:80":               loopback,
		"[::1]:80":                    loopback,
		"[::ffff:127.0.0.1]:80":       loopback,
		"10.1.2.3:443":                private,
		"172.31.0.1:443":              private,
		"192.168.1.1:443":             private,
		"100.64.0.1:443":              private,
		"[fd00::1]:443":               private,
		"[::ffff:10.0.0.1]:443":       private,
		"169.254.169.254:80":          never, // metadata services of clouds
		"[::ffff:169.254.169.254]:80": never,
		"[fe80::1]:443":               never,
		"[fe80::1%eth0]:443":          never,
		"0.0.0.0:80":                  never,
		"0.1.2.3:80":                  never,
		"[::]:80":                     never,
		"224.0.0.1:80":                never,
		"255.255.255.255:80":          never,
		"240.0.0.1:80":                never,
		"[64:ff9b::7f00:1]:80":        never,
		"[2002:7f00:1::]:80":          never,
		"[::127.0.0.1]:80":            never,
		"[ff02::1]:80":                never,
		"issuer.example:443":          never,
	} {
		for i, o := range []Options{{}, {AllowPrivate: true}, {AllowLoopback: true}, {AllowPrivate: true, AllowLoopback: true}} {
			want := kind == public || kind == private && o.AllowPrivate || kind == loopback && o.AllowLoopback
			err := o.checkAddress(address)
			if (err == nil) != want || err != nil && !errors.Is(err, fetch.ErrForbidden) {
				t.Errorf("%s with options %d: %v, allowed should be %t", address, i, err, want)
			}
		}
	}
}

// TestRebinding has the dialer resolve a name that looks harmless in a URL to a
// loopback address, as a hostile name server would at the second question.
func TestRebinding(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d := &net.Dialer{Control: Options{}.control}
	c, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, fetch.ErrForbidden) {
		t.Errorf("dialled loopback: %v", err)
	}
}

func TestIsLoopbackName(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "issuer.localhost": true, "Issuer.LOCALHOST": true, "localhost.": true, "127.0.0.1": true, "::1": true, "[::1]": true,
		"localhost.example": false, "notlocalhost": false, "10.0.0.1": false, "": false, "127.0.0.1.example": false,
	} {
		if got := IsLoopbackName(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}

func TestClientTrustsExtraRoots(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, tls.VersionName(r.TLS.Version))
	}))
	defer s.Close()
	if _, err := newClient(t, Options{AllowLoopback: true})(t.Context(), fetch.GetRequest(s.URL, "")); err == nil {
		t.Error("an unknown root was trusted")
	}
	f := newClient(t, Options{AllowLoopback: true, RootCAs: []*x509.Certificate{s.Certificate()}})
	resp, err := f(t.Context(), fetch.GetRequest(s.URL, ""))
	if err != nil || string(resp.Body) != "TLS 1.3" {
		t.Errorf("%q, error %v", resp.Body, err)
	}
}

func TestClientRefusesWeakTLS(t *testing.T) {
	for name, c := range map[string]struct {
		version uint16
		suite   uint16
		want    bool
	}{
		"TLS 1.1":        {tls.VersionTLS11, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, false},
		"TLS 1.2 CBC":    {tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, false},
		"TLS 1.2 ChaCha": {tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, false},
		"TLS 1.2 GCM":    {tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, true},
	} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: c.version, CipherSuites: []uint16{c.suite}}
		s.Config.ErrorLog = discard()
		s.StartTLS()
		f := newClient(t, Options{AllowLoopback: true, RootCAs: []*x509.Certificate{s.Certificate()}})
		if _, err := f(context.Background(), fetch.GetRequest(s.URL, "")); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}

package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"testing"
	"time"
)

func TestFile(t *testing.T) {
	body := bytes.Repeat([]byte("what everybody may know "), 100)
	f := NewFile("application/test", body)
	get := func(header map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/list", nil)
		for k, v := range header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		f.Serve(w, r, 90*time.Second, "Accept")
		return w
	}
	plain := get(nil)
	if plain.Code != 200 || !bytes.Equal(plain.Body.Bytes(), body) || plain.Header().Get("Content-Encoding") != "" {
		t.Fatalf("plain: %d, %d bytes, %v", plain.Code, plain.Body.Len(), plain.Header())
	}
	for name, want := range map[string]string{
		"Content-Type": "application/test", "Cache-Control": "public, max-age=90", "Vary": "Accept, Accept-Encoding",
	} {
		if got := plain.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	packed := get(map[string]string{"Accept-Encoding": "br;q=1, gzip;q=0.8"})
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Header().Get("ETag") == plain.Header().Get("ETag") {
		t.Errorf("gzip: %v", packed.Header())
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, body) {
		t.Errorf("gzip: %v, %d bytes", err, len(unpacked))
	}
	for _, tag := range []string{plain.Header().Get("ETag"), `"other", W/` + packed.Header().Get("ETag"), "*"} {
		if w := get(map[string]string{"If-None-Match": tag, "Accept-Encoding": "gzip"}); w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("Content-Encoding") != "" {
			t.Errorf("If-None-Match %s: %d with %d bytes", tag, w.Code, w.Body.Len())
		}
	}
	if w := get(map[string]string{"If-None-Match": `"other"`}); w.Code != 200 {
		t.Errorf("another tag: %d", w.Code)
	}
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "gzip;q=0": false, "gzip; q=0.000": false, "gzip;q=0.1": true, "*": true, "*;q=0": false, "br": false,
		"*, gzip;q=0": false, "gzip;q=0, *": false, "identity": false,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("Accept-Encoding %q: %v", header, got)
		}
	}
	if small := NewFile("text/plain", []byte("x")); small.packed != nil {
		t.Error("a file is packed although that makes it larger")
	}
}

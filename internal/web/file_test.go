package web

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
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
		"Content-Type": "application/test", "Cache-Control": "public, max-age=90", "Vary": "Accept, Accept-Encoding", "Content-Length": "2400",
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
	if small := NewFile("text/plain", []byte("x")); small.packed() != nil {
		t.Error("a file is packed although that makes it larger")
	}
}

// choice offers one body.
type choice struct {
	mediaType string
	body      []byte
}

func (c choice) Choose(accept string) (string, []byte, string, bool) {
	return c.mediaType, c.body, fmt.Sprintf(`"%x"`, sha256.Sum256(c.body)), accept != "text/html"
}

func TestFiles(t *testing.T) {
	random := make([]byte, 9000)
	rand.Read(random)
	var files Files
	get := func(c choice, header map[string]string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest("GET", "/list", nil)
		for k, v := range header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		if err := files.Serve(w, r, c, time.Minute); err != nil {
			Fail(w, r, err)
		}
		return w
	}
	gzipped := map[string]string{"Accept-Encoding": "gzip"}
	encoded := choice{"a/jwt", []byte(base64.RawURLEncoding.EncodeToString(random))}
	w := get(encoded, gzipped)
	if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > len(encoded.body)*4/5 {
		t.Errorf("base64: %d of %d bytes, %v", w.Body.Len(), len(encoded.body), w.Header())
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, encoded.body) {
		t.Errorf("base64: %v", err)
	}
	if w := get(choice{"a/cwt", random}, gzipped); w.Header().Get("Content-Encoding") != "" || !bytes.Equal(w.Body.Bytes(), random) {
		t.Errorf("what gzip makes larger is sent so: %v", w.Header())
	}
	tag := get(encoded, nil).Header().Get("ETag")
	if w := get(encoded, map[string]string{"If-None-Match": tag}); w.Code != 304 || strings.Contains(tag, `""`) {
		t.Errorf("If-None-Match %s: %d", tag, w.Code)
	}
	if w := get(encoded, map[string]string{"Accept": "text/html"}); w.Code != 406 {
		t.Errorf("no format: %d", w.Code)
	}
	for i := range 20 { // more than are kept
		large := choice{"a/large", make([]byte, 8<<20)}
		large.body[0] = byte(i)
		if w := get(large, nil); w.Body.Len() != 8<<20 {
			t.Errorf("%d: %d bytes", i, w.Body.Len())
		}
		if files.size > maxFiles || files.size < 0 {
			t.Fatalf("%d bytes are kept", files.size)
		}
	}
}

package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// File is a public body made for caches: a signed list, a certificate. It has
// an ETag, is sent compressed to those who ask, and not at all to those who
// have it already. It is immutable and may be used concurrently.
type File struct {
	mediaType string
	tag       string // base64url, without the quotes
	body      []byte
	packed    []byte // gzip; nil if that is not smaller
}

// NewFile returns a File. The body must not change afterwards.
func NewFile(mediaType string, body []byte) *File {
	sum := sha256.Sum256(body)
	f := &File{mediaType: mediaType, tag: base64.RawURLEncoding.EncodeToString(sum[:16]), body: body}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(body) // to memory: no error
	z.Close()
	if b.Len() < len(body) {
		f.packed = b.Bytes()
	}
	return f
}

// Chooser is a public body in several formats. Choose picks the one that an
// Accept header asks for, with a tag that names its content; ok is false if
// there is none.
type Chooser interface {
	Choose(accept string) (mediaType string, body []byte, tag string, ok bool)
}

// Files serves what Choosers choose, and compresses each body once. The zero
// value is empty. It may be used concurrently.
type Files struct {
	mu    sync.Mutex
	files map[string]*File
}

// maxFiles bounds what Files keeps; beyond it the memory starts again.
const maxFiles = 256

// Serve answers a GET request, as File.Serve does, or with 406.
func (c *Files) Serve(w http.ResponseWriter, r *http.Request, from Chooser, maxAge time.Duration) error {
	mediaType, body, tag, ok := from.Choose(r.Header.Get("Accept"))
	if !ok {
		return Errorf(http.StatusNotAcceptable, "This is not published in a format that was asked for.")
	}
	c.file(tag, mediaType, body).Serve(w, r, maxAge, "Accept")
	return nil
}

func (c *Files) file(tag, mediaType string, body []byte) *File {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[tag]
	if f == nil {
		if len(c.files) >= maxFiles || c.files == nil {
			c.files = map[string]*File{}
		}
		f = NewFile(mediaType, body)
		c.files[tag] = f
	}
	return f
}

// Serve answers a GET request with the file, which caches may keep for maxAge.
// vary names the request headers, besides Accept-Encoding, that chose this file
// among several at its address.
//
// RFC 9110, 8.8.3, 12.5.3 and 13.1.2; RFC 9111, 5.2.2.
func (f *File) Serve(w http.ResponseWriter, r *http.Request, maxAge time.Duration, vary ...string) {
	h := w.Header()
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", max(0, int(maxAge/time.Second))))
	h.Set("Access-Control-Allow-Origin", "*")
	body, tag := f.body, `"`+f.tag+`"`
	if f.packed != nil {
		vary = append(vary[:len(vary):len(vary)], "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			body, tag = f.packed, `"`+f.tag+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	if len(vary) > 0 {
		h.Set("Vary", strings.Join(vary, ", "))
	}
	h.Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), f.tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	Reply(w, http.StatusOK, f.mediaType, body)
}

// matches compares an If-None-Match header with a file, in whichever of its
// codings it was sent. The comparison is weak. RFC 9110, 13.1.2.
func matches(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
		if t == "*" || t == `"`+tag+`"` || t == `"`+tag+`-gzip"` {
			return true
		}
	}
	return false
}

// acceptsGzip reads an Accept-Encoding header. RFC 9110, 12.5.3.
func acceptsGzip(header string) bool {
	any := false
	for part := range strings.SplitSeq(header, ",") {
		coding, params, _ := strings.Cut(part, ";")
		refused := refusesCoding(params)
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return !refused
		case "*":
			any = !refused
		}
	}
	return any
}

// refusesCoding reports whether the parameters say q=0.
func refusesCoding(params string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(params), "=")
	return strings.EqualFold(strings.TrimSpace(name), "q") && strings.Trim(strings.TrimSpace(value), "0.") == "" && value != ""
}

package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// File is a public body made for caches: a signed list, a certificate. It has
// an ETag, is sent compressed to those who ask, and not at all to those who
// have it already. It is immutable and may be used concurrently.
type File struct {
	mediaType string
	tag       string // without the quotes
	body      []byte

	// packed is the body in gzip, made when it is first asked for; nil if that
	// saves less than a sixteenth.
	packed func() []byte
}

// NewFile returns a File. The body must not change afterwards.
func NewFile(mediaType string, body []byte) *File {
	sum := sha256.Sum256(body)
	return newFile(mediaType, body, base64.RawURLEncoding.EncodeToString(sum[:16]), gzip.DefaultCompression)
}

func newFile(mediaType string, body []byte, tag string, level int) *File {
	return &File{mediaType: mediaType, tag: tag, body: body, packed: sync.OnceValue(func() []byte {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, level)
		if err != nil {
			panic(err) // no such level: a mistake in this file
		}
		z.Write(body) // to memory: no error
		z.Close()
		if b.Len() > len(body)-len(body)/16 {
			return nil
		}
		return b.Bytes()
	})}
}

// Chooser is a public body in several formats. Choose picks the one that an
// Accept header asks for, with its ETag, quoted; ok is false if there is none.
type Chooser interface {
	Choose(accept string) (mediaType string, body []byte, etag string, ok bool)
}

// Files serves what Choosers choose, and compresses each body at most once.
// The zero value is empty. It may be used concurrently.
//
// Bodies are taken to be compressed, signed and at most encoded in base64: the
// codes of the letters are made shorter, which gains what there is to gain, and
// repetitions are not looked for.
type Files struct {
	mu    sync.Mutex
	files map[string]*File
	size  int // of the bodies, bytes
}

// maxFiles bounds the bytes of bodies in Files. Beyond it, one is forgotten for
// each that comes.
const maxFiles = 64 << 20

// Serve answers a GET request, as File.Serve does, or with 406.
func (c *Files) Serve(w http.ResponseWriter, r *http.Request, from Chooser, maxAge time.Duration) error {
	mediaType, body, etag, ok := from.Choose(r.Header.Get("Accept"))
	if !ok {
		return Errorf(http.StatusNotAcceptable, "This is not published in a format that was asked for.")
	}
	c.file(strings.Trim(etag, `"`), mediaType, body).Serve(w, r, maxAge, "Accept")
	return nil
}

func (c *Files) file(tag, mediaType string, body []byte) *File {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.files[tag]; f != nil {
		return f
	}
	if c.files == nil {
		c.files = map[string]*File{}
	}
	for old, f := range c.files { // whichever comes first
		if c.size+len(body) <= maxFiles {
			break
		}
		c.size -= len(f.body)
		delete(c.files, old)
	}
	f := newFile(mediaType, body, tag, gzip.HuffmanOnly)
	c.files[tag] = f
	c.size += len(body)
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
	vary = append(vary[:len(vary):len(vary)], "Accept-Encoding")
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		if packed := f.packed(); packed != nil {
			body, tag = packed, `"`+f.tag+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Vary", strings.Join(vary, ", "))
	h.Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), f.tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
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

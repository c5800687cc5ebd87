package web

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Large bodies together get a bounded part of the memory; small requests are
// served meanwhile, and the rest when the large ones are done.
func TestLargeBodiesTogether(t *testing.T) {
	const limit = 40 << 20
	arrived, proceed := make(chan bool), make(chan bool)
	h := Wrap(ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		body, err := ReadBody(w, r, limit)
		if err != nil {
			return err
		}
		if len(body) > DefaultBodyLimit {
			arrived <- true
			<-proceed
		}
		JSON(w, http.StatusOK, len(body))
		return nil
	}), WrapOptions{})
	post := func(size int) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("POST", "/", io.LimitReader(zeros{}, int64(size))))
		return rec
	}
	for range 3 { // what was held is given back
		first := make(chan *httptest.ResponseRecorder)
		go func() { first <- post(30 << 20) }()
		<-arrived
		if rec := post(30 << 20); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || !bytes.Contains(rec.Body.Bytes(), []byte("temporarily_unavailable")) {
			t.Errorf("second large body: %d %s", rec.Code, rec.Body)
		}
		if rec := post(limit + 1); rec.Code != http.StatusServiceUnavailable {
			t.Errorf("a body that is too large as well: %d", rec.Code)
		}
		if rec := post(DefaultBodyLimit); rec.Code != http.StatusOK {
			t.Errorf("small body: %d %s", rec.Code, rec.Body)
		}
		proceed <- true
		if rec := <-first; rec.Code != http.StatusOK {
			t.Errorf("first large body: %d %s", rec.Code, rec.Body)
		}
	}
	if rec := post(limit + 1); rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("alone, but too large: %d", rec.Code)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

package testkit

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/eidos-id/eidos/internal/fetch"
)

// Through returns a fetch.Func that asks a handler without a network.
func Through(h http.Handler) fetch.Func {
	return func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		req := httptest.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
		for k, v := range r.Header {
			req.Header.Set(k, v)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		resp := fetch.Response{Status: rec.Code, Header: map[string]string{}, Body: rec.Body.Bytes()}
		for k := range rec.Header() {
			resp.Header[strings.ToLower(k)] = rec.Header().Get(k)
		}
		return resp, nil
	}
}

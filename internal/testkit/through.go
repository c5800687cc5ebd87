package testkit

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
		return answer(rec.Result())
	}
}

// OverHTTP returns a fetch.Func that asks a handler on a socket, whatever host a
// request names: with all headers of a real server, and its limits.
func OverHTTP(t testing.TB, h http.Handler) fetch.Func {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
		if err != nil {
			return fetch.Response{}, err
		}
		for k, v := range r.Header {
			req.Header.Set(k, v)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return fetch.Response{}, err
		}
		return answer(resp)
	}
}

func answer(resp *http.Response) (fetch.Response, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	out := fetch.Response{Status: resp.StatusCode, Header: map[string]string{}, Body: body}
	for k := range resp.Header {
		out.Header[strings.ToLower(k)] = resp.Header.Get(k)
	}
	return out, err
}

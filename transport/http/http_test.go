package http_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/transport/http"
)

var _ transport.Conn = (*http.Conn)(nil)

const address = "https://shop.example/mdoc/1"

// reader answers every message with resp.
func reader(t *testing.T, resp fetch.Response, err error) (*http.Conn, *[][]byte) {
	var got [][]byte
	return http.Dial(address, func(_ context.Context, r fetch.Request) (fetch.Response, error) {
		if r.Method != "POST" || r.URL != address || r.Get("content-type") != "application/cbor" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		got = append(got, bytes.Clone(r.Body))
		return resp, err
	}), &got
}

func reply(status int, mediaType, body string) fetch.Response {
	return fetch.Response{Status: status, Header: map[string]string{"content-type": mediaType}, Body: []byte(body)}
}

func TestConversation(t *testing.T) {
	c, got := reader(t, reply(200, "application/cbor; x=y", "answer"), nil)
	for _, message := range []string{"one", "two"} {
		if err := c.Send(t.Context(), []byte(message)); err != nil {
			t.Fatal(err)
		}
		if back, err := c.Receive(t.Context()); err != nil || string(back) != "answer" {
			t.Errorf("%q %v", back, err)
		}
	}
	if len(*got) != 2 || string((*got)[1]) != "two" {
		t.Errorf("%q", *got)
	}
	if _, err := c.Receive(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("a message that nobody asked for: %v", err)
	}
	if err := c.Send(t.Context(), []byte("three")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestEnds(t *testing.T) {
	unreachable := errors.New("unreachable")
	for name, tc := range map[string]struct {
		resp fetch.Response
		err  error
		want error // nil: any
	}{
		"unreachable": {fetch.Response{}, unreachable, unreachable},
		"refused":     {reply(400, "application/json", `{"error":"finished"}`), nil, nil},
		"redirected":  {reply(303, "", ""), nil, nil},
		"a page":      {reply(200, "text/html", "<p>"), nil, transport.ErrFormat},
	} {
		c, _ := reader(t, tc.resp, tc.err)
		if err := c.Send(t.Context(), []byte("one")); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Receive(t.Context()); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("%s: open after an error: %v", name, err)
		}
	}
	c, got := reader(t, reply(200, "", ""), nil)
	if err := c.Send(t.Context(), []byte("last")); err != nil {
		t.Errorf("no reply to the last message: %v", err)
	}
	if _, err := c.Receive(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("no reply: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Send(t.Context(), nil); !errors.Is(err, transport.ErrFormat) {
		t.Errorf("empty: %v", err)
	}
	if err := c.Send(t.Context(), make([]byte, transport.MaxMessage+1)); !errors.Is(err, transport.ErrTooLarge) {
		t.Errorf("huge: %v", err)
	}
	if len(*got) != 1 {
		t.Errorf("%d messages", len(*got))
	}
}

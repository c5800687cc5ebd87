package tcp_test

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/transport/tcp"
)

// mobile is the mdoc's side of an on-site exchange: it accepts the reader,
// answers one request and takes the goodbye.
func mobile(ctx context.Context, l *tcp.Listener, d *session.Device) error {
	c, err := l.Accept(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		event, err := d.Receive(m, time.Now())
		if event.Reply != nil {
			c.Send(ctx, event.Reply)
		}
		if err != nil || event.Ended {
			return err
		}
		if m, err = d.Respond(fmt.Appendf(nil, "answer to %s", event.Plaintext), false, time.Now()); err == nil {
			err = c.Send(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

// shown returns the text of a QR code and the mdoc behind it, at work.
func shown(t *testing.T) (string, <-chan error) {
	t.Helper()
	d, err := session.NewDevice(ecdh.P256())
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, tcp.Options{})
	e, err := engagement.New(engagement.Options{EDeviceKey: d.EDeviceKey(), Retrieval: []engagement.RetrievalMethod{engagement.TCP(l.Address())}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Engage(e, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mobile(t.Context(), l, d) }()
	return e.QR(), done
}

func scan(t *testing.T, text string) (transport.Conn, *session.Reader) {
	t.Helper()
	e, err := engagement.ParseQR(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := session.NewReader(e, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tcp.Dial(t.Context(), e.Retrieval[0].TCP.Address, tcp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, r
}

// exchange sends a message and returns the answer.
func exchange(t *testing.T, c transport.Conn, m []byte) []byte {
	t.Helper()
	if err := c.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m, err := c.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// From the text of a QR code to a decrypted answer, over a real socket.
func TestOnSite(t *testing.T) {
	text, done := shown(t)
	c, r := scan(t, text)
	for _, ask := range []string{"one", "two"} {
		m, err := r.Request([]byte(ask), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		event, err := r.Receive(exchange(t, c, m), time.Now())
		if err != nil || string(event.Plaintext) != "answer to "+ask {
			t.Fatalf("%+v, %v", event, err)
		}
	}
	goodbye, err := r.Terminate()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), goodbye); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the mdoc: %v", err)
	}
}

// A reader with a bit wrong gets status 10 and nothing else.
func TestOnSiteTampered(t *testing.T) {
	text, done := shown(t)
	c, r := scan(t, text)
	m, err := r.Request([]byte("ask"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m[len(m)-1] ^= 1
	event, err := r.Receive(exchange(t, c, m), time.Now())
	if !errors.Is(err, session.ErrPeer) || event.Status != session.StatusEncryptionError {
		t.Errorf("the reader: %+v, %v", event, err)
	}
	if err := <-done; !errors.Is(err, session.ErrEncryption) {
		t.Errorf("the mdoc: %v", err)
	}
	if _, err := c.Receive(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("the connection lives on: %v", err)
	}
}

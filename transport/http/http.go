// Package http carries the messages of a session over HTTPS, from the mdoc's
// side: it posts each of its messages to the reader's address, and the reader's
// next message is the reply.
//
// ISO/IEC TS 18013-7 (draft N2544), A.6.2.
package http

import (
	"context"
	"fmt"
	"sync"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/transport"
)

// MediaType is that of messages in both directions.
const MediaType = "application/cbor"

// Conn is a connection to one address. The reader cannot speak unasked: Receive
// returns the reply to the last Send, or ErrClosed if there was none.
type Conn struct {
	url string
	do  fetch.Func

	mu     sync.Mutex // guards what is below
	reply  []byte
	closed bool
}

// Dial returns a connection to the address of a reader, which the caller has
// checked. Nothing is sent yet.
func Dial(url string, do fetch.Func) *Conn { return &Conn{url: url, do: do} }

// Send implements transport.Conn: it returns when the reply is there. An answer
// other than 200 closes the connection.
func (c *Conn) Send(ctx context.Context, message []byte) error {
	if len(message) == 0 {
		return fmt.Errorf("%w: empty message", transport.ErrFormat)
	}
	if len(message) > transport.MaxMessage {
		return fmt.Errorf("%w: %d bytes, the limit is %d", transport.ErrTooLarge, len(message), transport.MaxMessage)
	}
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return transport.ErrClosed
	}
	resp, err := c.do(ctx, fetch.Request{
		Method: "POST", URL: c.url, Body: message, MaxBytes: transport.MaxMessage,
		Header: map[string]string{"content-type": MediaType, "accept": MediaType},
	})
	switch {
	case err != nil:
		err = fmt.Errorf("post to the reader: %w", err)
	case resp.Status != 200:
		err = fmt.Errorf("the reader answered %d %s (ISO/IEC TS 18013-7, A.6.2)", resp.Status, resp.Refusal())
	case len(resp.Body) > 0 && resp.MediaType() != MediaType:
		err = fmt.Errorf("%w: the reader answered with %.40q, not %s (ISO/IEC TS 18013-7, A.6.2)", transport.ErrFormat, resp.MediaType(), MediaType)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.closed, c.reply = true, nil
		return err
	}
	if !c.closed {
		c.reply = resp.Body
	}
	return nil
}

// Receive implements transport.Conn; it never waits.
func (c *Conn) Receive(context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply := c.reply
	if c.reply = nil; len(reply) == 0 {
		c.closed = true
		return nil, transport.ErrClosed
	}
	return reply, nil
}

// Close implements transport.Conn. The reader is not told.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.reply = true, nil
	return nil
}

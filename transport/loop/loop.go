// Package loop is a transport inside one process: a pair of connections that
// pass bytes to each other. Nothing but bytes crosses, and always as a copy.
package loop

import (
	"context"
	"fmt"
	"sync"

	"github.com/eidos-id/eidos/transport"
)

// depth is how many messages may be under way in one direction before Send
// waits. A session is a dialogue; more than one or two is a peer gone wild.
const depth = 8

// Pair returns the two ends of a connection. Messages longer than limit bytes
// are refused; limit is transport.MaxMessage if zero.
func Pair(limit int) (transport.Conn, transport.Conn) {
	if limit <= 0 {
		limit = transport.MaxMessage
	}
	there, back := make(chan []byte, depth), make(chan []byte, depth)
	end := &ending{done: make(chan struct{})}
	return &conn{limit: limit, out: there, in: back, end: end}, &conn{limit: limit, out: back, in: there, end: end}
}

// ending is shared by both ends: closing one closes the other.
type ending struct {
	once sync.Once
	done chan struct{}
}

type conn struct {
	limit int
	out   chan<- []byte
	in    <-chan []byte
	end   *ending
}

// Send implements transport.Conn.
func (c *conn) Send(ctx context.Context, message []byte) error {
	if len(message) == 0 {
		return fmt.Errorf("%w: empty message", transport.ErrFormat)
	}
	if len(message) > c.limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d", transport.ErrTooLarge, len(message), c.limit)
	}
	select { // a closed end wins over a free place
	case <-c.end.done:
		return transport.ErrClosed
	default:
	}
	select {
	case c.out <- append([]byte(nil), message...):
		return nil
	case <-c.end.done:
		return transport.ErrClosed
	case <-ctx.Done():
		c.Close()
		return ctx.Err()
	}
}

// Receive implements transport.Conn. What was sent before Close still arrives.
func (c *conn) Receive(ctx context.Context) ([]byte, error) {
	select {
	case message := <-c.in:
		return message, nil
	default:
	}
	select {
	case message := <-c.in:
		return message, nil
	case <-c.end.done:
		select {
		case message := <-c.in:
			return message, nil
		default:
			return nil, transport.ErrClosed
		}
	case <-ctx.Done():
		c.Close()
		return nil, ctx.Err()
	}
}

// Close implements transport.Conn.
func (c *conn) Close() error {
	c.end.once.Do(func() { close(c.end.done) })
	return nil
}

// Package tcp carries messages over a TCP connection, so that an mdoc and a
// reader on one machine or one desk can talk without radio. It is private and
// for demonstrations only: retrieval type 65280 of package engagement, see
// docs/divergences.md.
//
// On the wire each message is its length in 4 bytes, big-endian, and the bytes.
// A length of zero or above the limit ends the connection before anything is
// allocated for it.
package tcp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/eidos-id/eidos/transport"
)

// DefaultStall is how long a peer may take for one message once it has begun,
// if Options do not say.
const DefaultStall = 30 * time.Second

// Options of a connection. The zero value is good.
type Options struct {
	// MaxMessage limits the size of a message in bytes; transport.MaxMessage
	// if zero.
	MaxMessage int
	// Stall bounds the time that one message, once begun, may take to cross
	// in either direction; DefaultStall if zero. Waiting for a message to
	// begin is bounded by the context only.
	Stall time.Duration
}

func (o Options) withDefaults() Options {
	if o.MaxMessage <= 0 {
		o.MaxMessage = transport.MaxMessage
	}
	if o.Stall <= 0 {
		o.Stall = DefaultStall
	}
	return o
}

// Listener waits for the one peer that reads the engagement.
type Listener struct {
	inner   net.Listener
	options Options
}

// Listen opens a port on addr, "127.0.0.1:0" for any on loopback.
func Listen(ctx context.Context, addr string, o Options) (*Listener, error) {
	var config net.ListenConfig
	inner, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("transport/tcp: %w", err)
	}
	return &Listener{inner: inner, options: o.withDefaults()}, nil
}

// Address is "host:port" as it goes into the engagement (engagement.TCP).
func (l *Listener) Address() string { return l.inner.Addr().String() }

// Accept waits for the first peer and stops listening, so that there is never
// a second: later ones are refused by the system. When ctx ends first, it
// stops listening too and returns ctx.Err().
func (l *Listener) Accept(ctx context.Context) (transport.Conn, error) {
	stop := context.AfterFunc(ctx, func() { l.inner.Close() })
	defer stop()
	inner, err := l.inner.Accept()
	l.inner.Close()
	if ctx.Err() != nil {
		if inner != nil {
			inner.Close()
		}
		return nil, ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil, transport.ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("transport/tcp: %w", err)
	}
	return newConn(inner, l.options), nil
}

// Close stops listening. A connection that was accepted goes on.
func (l *Listener) Close() error {
	if err := l.inner.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("transport/tcp: %w", err)
	}
	return nil
}

// Dial connects to the address of an engagement's retrieval method. The address
// comes from a QR code, so it is anyone's: the caller decides whether to
// connect there. Nothing is sent until the first Send.
func Dial(ctx context.Context, address string, o Options) (transport.Conn, error) {
	var dialer net.Dialer
	inner, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("transport/tcp: %w", err)
	}
	return newConn(inner, o.withDefaults()), nil
}

type conn struct {
	inner   net.Conn
	options Options

	once   sync.Once
	closed chan struct{}
}

func newConn(inner net.Conn, o Options) *conn {
	return &conn{inner: inner, options: o, closed: make(chan struct{})}
}

// Send implements transport.Conn.
func (c *conn) Send(ctx context.Context, message []byte) error {
	if len(message) == 0 {
		return fmt.Errorf("%w: empty message", transport.ErrFormat)
	}
	if len(message) > c.options.MaxMessage {
		return fmt.Errorf("%w: %d bytes, the limit is %d", transport.ErrTooLarge, len(message), c.options.MaxMessage)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := c.inner.SetWriteDeadline(time.Now().Add(c.options.Stall)); err != nil {
		return c.end(ctx, err)
	}
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(message)))
	frame := net.Buffers{length[:], message} // one write, no copy
	if _, err := frame.WriteTo(c.inner); err != nil {
		return c.end(ctx, err)
	}
	return nil
}

// Receive implements transport.Conn.
func (c *conn) Receive(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := c.inner.SetReadDeadline(time.Time{}); err != nil {
		return nil, c.end(ctx, err)
	}
	var length [4]byte
	if _, err := io.ReadFull(c.inner, length[:1]); err != nil {
		if errors.Is(err, io.EOF) {
			err = transport.ErrClosed // between messages: a farewell
		}
		return nil, c.end(ctx, err)
	}
	// From here on the peer is in the middle of a message and has to hurry.
	if err := c.inner.SetReadDeadline(time.Now().Add(c.options.Stall)); err != nil {
		return nil, c.end(ctx, err)
	}
	if _, err := io.ReadFull(c.inner, length[1:]); err != nil {
		return nil, c.end(ctx, cut(err))
	}
	size := binary.BigEndian.Uint32(length[:])
	if size == 0 {
		return nil, c.end(ctx, fmt.Errorf("%w: empty message", transport.ErrFormat))
	}
	if uint64(size) > uint64(c.options.MaxMessage) {
		return nil, c.end(ctx, fmt.Errorf("%w: %d bytes announced, the limit is %d", transport.ErrTooLarge, size, c.options.MaxMessage))
	}
	message, err := c.read(int(size))
	if err != nil {
		return nil, c.end(ctx, cut(err))
	}
	return message, nil
}

// read grows with what really arrives, so that an announced length costs us no
// more memory than a peer is willing to send.
func (c *conn) read(size int) ([]byte, error) {
	const step = 64 << 10
	message := make([]byte, 0, min(size, step))
	for len(message) < size {
		if len(message) == cap(message) {
			grown := make([]byte, len(message), min(size, 4*cap(message)))
			copy(grown, message)
			message = grown
		}
		n, err := io.ReadFull(c.inner, message[len(message):cap(message)])
		message = message[:len(message)+n]
		if err != nil {
			return nil, err
		}
	}
	return message, nil
}

// cut names the end of a stream in the middle of a message.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the connection ended inside a message", transport.ErrFormat)
	}
	return err
}

// end closes the connection after an error and says what the error was: the
// context's end, our own Close, or what the network reported.
func (c *conn) end(ctx context.Context, err error) error {
	wasClosed := false
	select {
	case <-c.closed:
		wasClosed = true
	default:
	}
	c.Close()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case wasClosed, errors.Is(err, net.ErrClosed):
		return transport.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("transport/tcp: a message took longer than %v: %w", c.options.Stall, err)
	case errors.Is(err, transport.ErrClosed), errors.Is(err, transport.ErrFormat), errors.Is(err, transport.ErrTooLarge):
		return err
	}
	return fmt.Errorf("%w: %w", transport.ErrClosed, err)
}

// Close implements transport.Conn.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	if err := c.inner.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("transport/tcp: %w", err)
	}
	return nil
}

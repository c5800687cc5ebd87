// Package transport is about wires: it carries whole messages between an mdoc
// and a reader and knows nothing of what is in them. The folders below hold one
// kind of wire each.
package transport

import (
	"context"
	"errors"
)

// MaxMessage is the size limit of a message that a Conn uses when none is
// given: 8 MiB, room for a response with several portraits.
const MaxMessage = 8 << 20

// Sentinels of every Conn; they come wrapped.
var (
	// ErrClosed: the connection has ended, from this side or the other.
	ErrClosed = errors.New("transport: connection is closed")
	// ErrTooLarge: a message is larger than the connection's limit. Nothing of
	// it was sent; when it was received the connection is closed.
	ErrTooLarge = errors.New("transport: message is too large")
	// ErrFormat: what came over the wire is not a message of this transport,
	// for example it ends in the middle. The connection is closed.
	ErrFormat = errors.New("transport: broken framing")
)

// Conn is a connection of two peers that carries whole messages in order.
//
// Send and Receive may be called from different goroutines at the same time;
// each of them from one goroutine at a time. When a context ends during Send or
// Receive part of a message may have crossed, so the connection is closed and
// later calls give ErrClosed: an mdoc session cannot be resumed in any case
// (ISO/IEC 18013-5:2021, 8.3.3.1.1). There are no retries and no
// acknowledgements: that Send returned says only that the message left.
//
// A Conn neither encrypts nor authenticates. It is not trusted with anything.
type Conn interface {
	// Send sends one message. It does not keep the slice. An empty message is
	// not a message: ErrFormat.
	Send(ctx context.Context, message []byte) error
	// Receive returns the next message, which then belongs to the caller.
	// When the peer closed between messages it returns ErrClosed.
	Receive(ctx context.Context) ([]byte, error)
	// Close ends the connection in both directions; a Receive that waits on
	// either side returns ErrClosed. Messages sent before Close may still
	// arrive. Closing twice is no error.
	Close() error
}

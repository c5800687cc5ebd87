// Package once keeps single-use things: codes, offers, transactions, nonces
// already seen. Protocol engines are given a Store that is bound to the
// transaction of their role, so that what is used up and what is answered are
// committed together.
package once

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"
)

// Errors of every Store. Test with errors.Is.
var (
	ErrNotFound = errors.New("not found")    // never put, or swept after it expired
	ErrClaimed  = errors.New("already used") // somebody else was first
	ErrExpired  = errors.New("expired")
)

// Store keeps single-use things by kind ("code", "offer", …) and id. An id
// that is itself a secret must be stored as its Hash.
//
// Times have a resolution of one millisecond; a thing is valid while now is
// before expires. A Store neither keeps nor changes the slices it is given,
// and the caller owns those that it returns. One bound to a transaction must
// not be used after it, nor concurrently.
type Store interface {
	// Put creates the thing, or replaces it; after a Claim it revives it.
	// What it did is seen by others when the transaction commits.
	Put(ctx context.Context, kind, id string, value []byte, expires time.Time) error

	// Get returns the value of an unclaimed, unexpired thing, or
	// ErrNotFound, ErrClaimed or ErrExpired.
	Get(ctx context.Context, kind, id string, now time.Time) ([]byte, error)

	// Claim uses the thing up and returns its value. Of any number of
	// callers, in any number of processes, exactly one wins; the others get
	// ErrClaimed. A claim followed by a Put in the same transaction is an
	// atomic change, as counters need it.
	Claim(ctx context.Context, kind, id string, now time.Time) ([]byte, error)
}

// Consumer is a Store that can do what Consume says in one step.
type Consumer interface {
	Consume(ctx context.Context, kind, id string, now, expires time.Time) error
}

// Consume records that id was seen: nil for the first caller, ErrClaimed for
// every later one until expires. It is for stateless things, such as a jti or
// a MACed nonce, of which only the consumption is stored. It is atomic in a
// transaction of internal/db and on a *Memory. A thing whose record has
// expired is taken as new: refuse it by its own age first.
func Consume(ctx context.Context, s Store, kind, id string, now, expires time.Time) error {
	if c, ok := s.(Consumer); ok {
		return c.Consume(ctx, kind, id, now, expires)
	}
	switch _, err := s.Get(ctx, kind, id, now); {
	case err == nil, errors.Is(err, ErrClaimed):
		return ErrClaimed
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrExpired):
		return s.Put(ctx, kind, id, []byte{}, expires)
	default:
		return err
	}
}

// Hash returns the SHA-256 of a secret in base64url, 43 characters, so that a
// store never holds the secret itself. Only for secrets of 16 or more random
// bytes: a PIN could be found again from its hash.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

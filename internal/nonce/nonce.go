// Package nonce issues nonces that need no storage: each carries its expiry
// and a MAC. Any process that has the key can check them. Where a nonce may
// be used only once, its consumption is recorded with once.Consume.
package nonce

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// Errors of Source.Check. Test with errors.Is.
var (
	ErrForged  = errors.New("nonce is not one of ours")
	ErrExpired = errors.New("nonce has expired")
)

const (
	timeLen   = 8 // expiry, milliseconds since 1970, big-endian
	randomLen = 16
	macLen    = sha256.Size
	rawLen    = timeLen + randomLen + macLen
)

// Len is the length of a nonce in characters of base64url.
const Len = (rawLen*8 + 5) / 6

// Source issues and checks the nonces of one purpose. It is a value without
// state and may be used concurrently.
type Source struct {
	key      [32]byte
	purpose  string
	lifetime time.Duration
}

// New returns the Source for a purpose, such as "c_nonce" or "dpop". Nonces of
// different purposes or keys are not accepted for each other. The key is
// shared by the processes of a role; lifetime is how long a nonce is accepted.
func New(key [32]byte, purpose string, lifetime time.Duration) Source {
	return Source{key: key, purpose: purpose, lifetime: lifetime}
}

// Lifetime is how long a nonce is accepted, and so how long its consumption
// must be remembered.
func (s Source) Lifetime() time.Duration { return s.lifetime }

// Issue returns a fresh nonce, Len characters of base64url, unlike any other.
func (s Source) Issue(now time.Time) string {
	raw := make([]byte, timeLen+randomLen, rawLen)
	binary.BigEndian.PutUint64(raw, uint64(now.Add(s.lifetime).UnixMilli()))
	rand.Read(raw[timeLen:]) // never returns an error
	return base64.RawURLEncoding.EncodeToString(s.mac(raw, raw))
}

// Check returns nil if the nonce was issued by a Source with the same key and
// purpose and has not expired, else ErrForged or ErrExpired. The same nonce
// passes any number of times.
func (s Source) Check(nonce string, now time.Time) error {
	if len(nonce) != Len {
		return ErrForged
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(raw) != rawLen {
		return ErrForged
	}
	body := raw[:timeLen+randomLen]
	if !hmac.Equal(raw[timeLen+randomLen:], s.mac(nil, body)) {
		return ErrForged
	}
	if now.UnixMilli() >= int64(binary.BigEndian.Uint64(body)) {
		return ErrExpired
	}
	return nil
}

// mac appends the MAC of body to dst.
func (s Source) mac(dst, body []byte) []byte {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(body) // of fixed length, so nothing can move between body and purpose
	h.Write([]byte(s.purpose))
	return h.Sum(dst)
}

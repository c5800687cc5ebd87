package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/eidos-id/eidos/format/cbor"
)

// tagSize is the length of the authentication tag of AES-GCM.
const tagSize = 16

// channel is the pair of keys of a session and their counters.
//
// ISO/IEC 18013-5:2021, 9.1.1.5.
type channel struct{ send, receive direction }

// direction is one key. The IV is 8 bytes that say who encrypts (0 the reader,
// 1 the mdoc) and a 4-byte counter, 1 for the first message.
type direction struct {
	aead    cipher.AEAD
	who     uint64
	counter uint32 // of the last message
}

var errCounter = errors.New("message counter is used up")

// next returns the IV of the next message, which never comes twice.
func (d *direction) next() ([12]byte, error) {
	var iv [12]byte
	if d.counter == math.MaxUint32 {
		return iv, errCounter
	}
	d.counter++
	binary.BigEndian.PutUint64(iv[:8], d.who)
	binary.BigEndian.PutUint32(iv[8:], d.counter)
	return iv, nil
}

// newChannel agrees on the session's keys. The salt binds them to the
// transcript: SHA-256 of #6.24(bstr .cbor SessionTranscript).
func newChannel(private *ecdh.PrivateKey, peer *ecdh.PublicKey, transcript []byte, isReader bool) (*channel, error) {
	z, err := private.ECDH(peer)
	if err != nil {
		return nil, err
	}
	defer clear(z)
	salt := sha256.Sum256(cbor.AppendEmbedded(nil, transcript))
	reader, err := newDirection(z, salt[:], "SKReader", 0)
	if err != nil {
		return nil, err
	}
	device, err := newDirection(z, salt[:], "SKDevice", 1)
	if err != nil {
		return nil, err
	}
	if isReader {
		return &channel{send: reader, receive: device}, nil
	}
	return &channel{send: device, receive: reader}, nil
}

func newDirection(z, salt []byte, info string, who uint64) (direction, error) {
	key, err := hkdf.Key(sha256.New, z, salt, info, 32)
	if err != nil {
		return direction{}, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return direction{}, err
	}
	aead, err := cipher.NewGCM(block)
	return direction{aead: aead, who: who}, err
}

// appendSealed encrypts plain and appends it to b as a CBOR byte string.
func (c *channel) appendSealed(b, plain []byte) ([]byte, error) {
	iv, err := c.send.next()
	if err != nil {
		return nil, err
	}
	b = cbor.AppendBytesHead(b, len(plain)+tagSize)
	return c.send.aead.Seal(b, iv[:], plain, nil), nil
}

// open decrypts the next message. A replayed or a skipped one was made with
// another counter, so its tag does not fit.
func (c *channel) open(data []byte) ([]byte, error) {
	if len(data) < tagSize {
		return nil, fmt.Errorf("%w: %d bytes are too short for a tag (ISO/IEC 18013-5:2021, 9.1.1.5)", ErrEncryption, len(data))
	}
	iv, err := c.receive.next()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	plain, err := c.receive.aead.Open(make([]byte, 0, len(data)-tagSize), iv[:], data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: message %d does not decrypt (ISO/IEC 18013-5:2021, 9.1.1.5)", ErrEncryption, c.receive.counter)
	}
	return plain, nil
}

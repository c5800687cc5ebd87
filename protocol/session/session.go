// Package session is the encrypted conversation of an mdoc and a reader, as two
// state machines without I/O: Device and Reader take the peer's message and
// give back the next one; the caller moves the bytes and says what time it is.
//
//	reader                                      mdoc
//	NewReader(engagement)     <-- engagement -- NewDevice, Engage
//	Request(DeviceRequest)    -- establishment ->  Receive
//	Receive                   <-- data ----------  Respond(DeviceResponse)
//	…                                              …
//	Terminate                 -- status 20 ----->  Receive
//
// ISO/IEC 18013-5:2021, 9.1.1; ISO/IEC 18013-5 second edition (draft v4), 12.2.
package session

import (
	"context"
	"crypto/ecdh"
	"errors"
	"strconv"
	"time"
)

// Status is the status code of a SessionData message.
// ISO/IEC 18013-5:2021, 9.1.1.4, table 20.
type Status uint64

// Status codes. StatusNone stands for a message without one; it is never sent.
const (
	StatusNone            Status = 0
	StatusEncryptionError Status = 10
	StatusDecodingError   Status = 11
	StatusTermination     Status = 20
)

// String names the code as the standard's table does.
func (s Status) String() string {
	switch s {
	case StatusNone:
		return "no status"
	case StatusEncryptionError:
		return "10 (session encryption error)"
	case StatusDecodingError:
		return "11 (CBOR decoding error)"
	case StatusTermination:
		return "20 (session termination)"
	}
	return strconv.FormatUint(uint64(s), 10)
}

// Sentinels; they come wrapped with what happened.
var (
	// ErrTerminated: the session is over, its keys are gone, nothing works.
	ErrTerminated = errors.New("session is terminated")
	// ErrOrder: the call does not fit the state: a response before a request,
	// a request before the engagement. The session goes on.
	ErrOrder = errors.New("session: call out of order")
	// ErrEncryption: a message does not decrypt: wrong key, wrong tag,
	// replayed, skipped, or out of order. The session is over.
	ErrEncryption = errors.New("session encryption error")
	// ErrDecoding: a message is not the CBOR that it should be. The session is
	// over.
	ErrDecoding = errors.New("session: CBOR decoding error")
	// ErrPeer: the peer ended the session with an error status. The session is
	// over.
	ErrPeer = errors.New("session: peer reports an error")
	// ErrTimeout: the peer was silent for too long. The session is over.
	ErrTimeout = errors.New("session: timed out")
)

// IdleTimeout is how long a session may be silent once the first message has
// gone or come: 300 s, the least that the standard allows.
// ISO/IEC 18013-5:2021, 9.1.1.4.
const IdleTimeout = 300 * time.Second

// EstablishTimeout is how long an mdoc waits for the SessionEstablishment after
// it has shown its engagement: at least 30 s by the standard; a person needs
// longer to hold a phone to a reader.
// ISO/IEC 18013-5 second edition (draft v4), 9.4.
const EstablishTimeout = 300 * time.Second

// MaxMessage is the largest message accepted, in bytes.
const MaxMessage = 8 << 20

// Event is what a received message came to.
type Event struct {
	// Plaintext is the decrypted DeviceRequest or DeviceResponse; nil if the
	// message carried only a status. It belongs to the caller.
	Plaintext []byte
	// Status is the peer's status code, StatusNone if there was none.
	Status Status
	// Reply, if not nil, has to be sent to the peer, also when the call
	// returned an error; it is set exactly when the session ended because of
	// an error on our side of the wire.
	Reply []byte
	// Ended says that the session is over and the connection is to be closed,
	// after Reply was sent.
	Ended bool
	// MacKey is the reader's ephemeral private key as it is needed to check a
	// deviceMac in this response; nil on the mdoc's side and without
	// Plaintext. It outlives the session, since a response may come together
	// with the termination; drop it when the response is verified.
	MacKey *MacKey
}

// MacKey is the reader's ephemeral key for one response. It satisfies
// format/key.Agreer. ISO/IEC 18013-5:2021, 9.1.3.5.
type MacKey struct{ private *ecdh.PrivateKey }

// Public is EReaderKey.Pub.
func (m *MacKey) Public() *ecdh.PublicKey { return m.private.PublicKey() }

// Agree returns Z of EReaderKey and the peer's key, which is the mdoc's
// SDeviceKey; an error if that is on another curve.
func (m *MacKey) Agree(_ context.Context, peer *ecdh.PublicKey) ([]byte, error) {
	if peer == nil {
		return nil, errors.New("session: no key to agree with")
	}
	return m.private.ECDH(peer)
}

// String keeps the key out of formatted text.
func (m *MacKey) String() string { return "[redacted]" }

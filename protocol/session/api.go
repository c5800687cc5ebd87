package session

import (
	"crypto/ecdh"
	"errors"
	"time"

	"github.com/eidos-id/eidos/protocol/engagement"
)

var errSoon = errors.New("not written yet")

// Device is the mdoc's side of one session. It is not safe for several
// goroutines at once.
type Device struct{}

// NewDevice makes the ephemeral key on the given curve (P-256, P-384, P-521 or
// X25519). EDeviceKey goes into the engagement, which then goes to Engage.
func NewDevice(curve ecdh.Curve) (*Device, error) { return nil, errSoon }

// EDeviceKey is the public key for the engagement.
func (d *Device) EDeviceKey() *ecdh.PublicKey { return nil }

// Engage says which engagement was shown, and the NFC handover: nil after a QR
// code, else the CBOR of the Handover (NFCHandover).
func (d *Device) Engage(e *engagement.DeviceEngagement, handover []byte, now time.Time) error {
	return errSoon
}

// Receive takes a message from the reader. The first is a SessionEstablishment,
// the others are SessionData. See Event for what to do, also after an error.
func (d *Device) Receive(message []byte, now time.Time) (Event, error) { return Event{}, errSoon }

// Respond encrypts a DeviceResponse. With end the message also carries status
// 20 and the session is over once it is made.
func (d *Device) Respond(response []byte, end bool, now time.Time) ([]byte, error) {
	return nil, errSoon
}

// Refuse ends the session with a status instead of a response, for example
// StatusDecodingError when the DeviceRequest is no CBOR.
func (d *Device) Refuse(status Status) ([]byte, error) { return nil, errSoon }

// Terminate ends the session and returns the message with status 20.
func (d *Device) Terminate() ([]byte, error) { return nil, errSoon }

// Transcript is the SessionTranscript, the untagged CBOR array; nil before the
// session is established. It stays available after the end.
func (d *Device) Transcript() []byte { return nil }

// EReaderKey is the reader's ephemeral public key, for a deviceMac; nil before
// the session is established.
func (d *Device) EReaderKey() *ecdh.PublicKey { return nil }

// Deadline is when Tick will end the session; zero if never.
func (d *Device) Deadline() time.Time { return time.Time{} }

// Tick ends the session if the deadline has passed, with the message to send
// (status 20) and ErrTimeout; else it does nothing.
func (d *Device) Tick(now time.Time) ([]byte, error) { return nil, errSoon }

// Reader is the reader's side of one session. It is not safe for several
// goroutines at once.
type Reader struct{}

// NewReader makes the ephemeral key on the curve of the engagement's key and
// derives the session's keys. Handover is nil after a QR code, else the CBOR
// of the Handover (NFCHandover).
func NewReader(e *engagement.DeviceEngagement, handover []byte) (*Reader, error) {
	return nil, errSoon
}

// Request encrypts a DeviceRequest: the first into a SessionEstablishment,
// later ones into SessionData.
func (r *Reader) Request(request []byte, now time.Time) ([]byte, error) { return nil, errSoon }

// Receive takes a SessionData from the mdoc.
func (r *Reader) Receive(message []byte, now time.Time) (Event, error) { return Event{}, errSoon }

// Refuse ends the session with a status, for example StatusDecodingError when
// the DeviceResponse is no CBOR.
func (r *Reader) Refuse(status Status) ([]byte, error) { return nil, errSoon }

// Terminate ends the session and returns the message with status 20.
func (r *Reader) Terminate() ([]byte, error) { return nil, errSoon }

// Transcript is the SessionTranscript, the untagged CBOR array.
func (r *Reader) Transcript() []byte { return nil }

// EReaderKey is the ephemeral public key.
func (r *Reader) EReaderKey() *ecdh.PublicKey { return nil }

// Deadline is when Tick will end the session; zero if never.
func (r *Reader) Deadline() time.Time { return time.Time{} }

// Tick ends the session if the deadline has passed, with the message to send
// (status 20) and ErrTimeout; else it does nothing.
func (r *Reader) Tick(now time.Time) ([]byte, error) { return nil, errSoon }

// NFCHandover encodes the Handover of NFC engagement from the Handover Select
// message and, if it was negotiated, the Handover Request message; else nil.
//
//	NFCHandover = [ bstr, bstr / nil ]
//
// ISO/IEC 18013-5:2021, 9.1.5.1.
func NFCHandover(handoverSelect, handoverRequest []byte) []byte { return nil }

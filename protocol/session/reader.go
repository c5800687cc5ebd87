package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/engagement"
)

// Reader is the reader's side of one session. It is not safe for several
// goroutines at once.
type Reader struct {
	side
	public   *ecdh.PublicKey
	keyBytes []byte // EReaderKeyBytes
	known    bool   // the mdoc has the key from a ReaderEngagement
}

// NewReader makes the ephemeral key on the curve of the engagement's key and
// derives the session's keys. Handover is nil after a QR code, else the CBOR
// of the Handover (mdoc.NFCHandover). engagement.ErrUnsupported if the engagement's
// key is on a curve that we do not have.
func NewReader(e *engagement.DeviceEngagement, handover []byte) (*Reader, error) {
	if e.EDeviceKey == nil {
		return nil, fmt.Errorf("session: %w: curve of EDeviceKey (ISO/IEC 18013-5:2021, 9.1.5.2)", engagement.ErrUnsupported)
	}
	private, err := e.EDeviceKey.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("session: ephemeral key: %w", err)
	}
	return newReader(e, handover, private)
}

func newReader(e *engagement.DeviceEngagement, handover []byte, private *ecdh.PrivateKey) (*Reader, error) {
	keyBytes, err := engagement.KeyBytes(private.PublicKey())
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	script := mdoc.Transcript(e.Raw, keyBytes, handover)
	channel, err := newChannel(private, e.EDeviceKey, script, true)
	if err != nil {
		return nil, fmt.Errorf("session: EDeviceKey: %w", err)
	}
	return &Reader{
		side:   side{private: private, channel: channel, transcript: script},
		public: private.PublicKey(), keyBytes: keyBytes,
	}, nil
}

// Request encrypts a DeviceRequest: the first into a SessionEstablishment
// unless the mdoc has our key already, later ones into SessionData. ErrOrder while a response is awaited. With
// ErrTimeout the message is status 20 and still to be sent.
//
// ISO/IEC 18013-5:2021, 9.1.1.4.
func (r *Reader) Request(request []byte, now time.Time) ([]byte, error) {
	if reply, err := r.begin(now); err != nil {
		return reply, err
	}
	if r.state == asked {
		return nil, fmt.Errorf("%w: a request before the last one was answered", ErrOrder)
	}
	first := r.state == fresh
	r.state = asked
	r.deadline = now.Add(IdleTimeout)
	if !first || r.known {
		return r.data(request, false)
	}
	b := cbor.AppendMap(make([]byte, 0, len(request)+len(r.keyBytes)+48), 2)
	b = append(cbor.AppendText(b, "eReaderKey"), r.keyBytes...)
	b, err := r.channel.appendSealed(cbor.AppendText(b, "data"), request)
	if err != nil {
		r.wipe()
		return nil, fmt.Errorf("%w: %w", ErrTerminated, err)
	}
	return b, nil
}

// Receive takes a SessionData from the mdoc. See Event for what to do, also
// after an error. Any error but ErrOrder ends the session.
//
// ISO/IEC 18013-5:2021, 9.1.1.4.
func (r *Reader) Receive(raw []byte, now time.Time) (Event, error) {
	if event, err := r.start(now); err != nil {
		return event, err
	}
	if r.state == fresh {
		return Event{}, fmt.Errorf("%w: a message before the first request", ErrOrder)
	}
	m, err := parse(raw)
	switch {
	case err != nil:
		return r.fail(err)
	case m.readerKey != nil:
		return r.fail(fmt.Errorf("%w: a SessionEstablishment from the mdoc", ErrEncryption))
	case m.data != nil && r.state != asked:
		return r.fail(fmt.Errorf("%w: a response without a request", ErrEncryption))
	}
	private := r.private // take drops it when the message is also the last
	event, err := r.take(m)
	if err != nil {
		return event, err
	}
	if event.Plaintext == nil {
		return event, nil // a status is not authenticated and buys no time
	}
	event.MacKey = &MacKey{private: private}
	if !event.Ended {
		r.state = answered
		r.deadline = now.Add(IdleTimeout)
	}
	return event, nil
}

// Refuse ends the session with a status, for example StatusDecodingError when
// the DeviceResponse is no CBOR.
func (r *Reader) Refuse(status Status) ([]byte, error) { return r.stop(status) }

// Terminate ends the session and returns the message with status 20.
func (r *Reader) Terminate() ([]byte, error) { return r.stop(StatusTermination) }

// Transcript is the SessionTranscript, the untagged CBOR array, as a copy. It
// stays available after the end.
func (r *Reader) Transcript() []byte { return bytes.Clone(r.transcript) }

// EReaderKey is the ephemeral public key.
func (r *Reader) EReaderKey() *ecdh.PublicKey { return r.public }

// Deadline is when Tick will end the session; zero if never.
func (r *Reader) Deadline() time.Time { return r.deadline }

// Tick ends the session if the deadline has passed, with the message to send
// (status 20) and ErrTimeout; else it does nothing. ErrTerminated after the end.
func (r *Reader) Tick(now time.Time) ([]byte, error) { return r.begin(now) }

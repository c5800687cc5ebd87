package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/engagement"
)

// Device is the mdoc's side of one session. It is not safe for several
// goroutines at once.
type Device struct {
	side
	public     *ecdh.PublicKey
	engagement []byte
	handover   []byte
	readerKey  *ecdh.PublicKey
}

// NewDevice makes the ephemeral key on the given curve: P-256, P-384, P-521 or
// X25519. EDeviceKey goes into the engagement, which then goes to Engage.
func NewDevice(curve ecdh.Curve) (*Device, error) {
	private, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("session: ephemeral key: %w", err)
	}
	return newDevice(private), nil
}

func newDevice(private *ecdh.PrivateKey) *Device {
	return &Device{side: side{private: private}, public: private.PublicKey()}
}

// EDeviceKey is the public key for the engagement.
func (d *Device) EDeviceKey() *ecdh.PublicKey { return d.public }

// Engage says which engagement was shown, and the NFC handover: nil after a QR
// code, else the CBOR of the Handover (mdoc.NFCHandover). It keeps both slices,
// which must not change. From now on the deadline runs. The engagement has to
// hold EDeviceKey; there is one engagement in a session, a second is ErrOrder.
func (d *Device) Engage(e *engagement.DeviceEngagement, handover []byte, now time.Time) error {
	switch {
	case d.state == over:
		return ErrTerminated
	case d.state != fresh:
		return fmt.Errorf("%w: the session has an engagement already", ErrOrder)
	case e.EDeviceKey == nil || !e.EDeviceKey.Equal(d.public):
		return errors.New("session: the engagement holds another EDeviceKey")
	}
	d.state, d.engagement, d.handover = engaged, e.Raw, handover
	d.deadline = now.Add(EstablishTimeout)
	return nil
}

// EngageReader is Engage towards a website that asked with an engagement of its
// own. If its key is on our curve the keys of the session are derived at once,
// and its first message is SessionData; else it makes another key, and that is
// a SessionEstablishment.
//
// ISO/IEC TS 18013-7 (draft N2544), A.7.
func (d *Device) EngageReader(e *engagement.DeviceEngagement, reader *engagement.ReaderEngagement, now time.Time) error {
	if err := d.Engage(e, mdoc.WebsiteHandover(reader.Raw), now); err != nil {
		return err
	}
	if reader.EReaderKey == nil || reader.EReaderKey.Curve() != d.public.Curve() {
		return nil
	}
	if err := d.derive(reader.EReaderKeyBytes, reader.EReaderKey); err != nil {
		d.wipe()
		return err
	}
	d.state = answered
	return nil
}

// Receive takes a message from the reader. The first is a SessionEstablishment
// (but see EngageReader), the others are SessionData. See Event for what to do, also after an error.
// Any error but ErrOrder ends the session.
//
// ISO/IEC 18013-5:2021, 9.1.1.4.
func (d *Device) Receive(raw []byte, now time.Time) (Event, error) {
	if event, err := d.start(now); err != nil {
		return event, err
	}
	if d.state == fresh {
		return Event{}, fmt.Errorf("%w: a message before the engagement", ErrOrder)
	}
	m, err := parse(raw)
	if err != nil {
		return d.fail(err)
	}
	switch {
	case d.state == engaged && m.readerKey != nil:
		if err := d.establish(m); err != nil {
			return d.fail(err)
		}
	case m.readerKey != nil:
		return d.fail(fmt.Errorf("%w: a second SessionEstablishment", ErrEncryption))
	case d.state == asked && m.data != nil:
		return d.fail(fmt.Errorf("%w: a request before the last one was answered", ErrEncryption))
	}
	event, err := d.take(m)
	if err != nil || event.Ended {
		return event, err
	}
	if event.Plaintext != nil { // a status is not authenticated and buys no time
		d.state = asked
		d.deadline = now.Add(IdleTimeout)
	}
	return event, nil
}

// establish takes the reader's key from its first message.
func (d *Device) establish(m message) error {
	if m.data == nil || m.status != StatusNone {
		return fmt.Errorf("%w: SessionEstablishment without data or with a status (ISO/IEC 18013-5:2021, 9.1.1.4)", ErrDecoding)
	}
	peer, err := cose.ParseECDHKey(m.key)
	if err != nil {
		return fmt.Errorf("%w: eReaderKey: %w", ErrEncryption, err)
	}
	if peer.Curve() != d.public.Curve() {
		return fmt.Errorf("%w: eReaderKey is on %s, the engagement has %s (ISO/IEC 18013-5:2021, 9.1.1.4)",
			ErrEncryption, curveName(peer.Curve()), curveName(d.public.Curve()))
	}
	return d.derive(m.readerKey, peer)
}

// derive makes the session's keys. keyBytes is the reader's key as received,
// tag included.
func (d *Device) derive(keyBytes []byte, peer *ecdh.PublicKey) error {
	script := mdoc.Transcript(d.engagement, keyBytes, d.handover)
	channel, err := newChannel(d.private, peer, script, false)
	if err != nil {
		return fmt.Errorf("%w: eReaderKey: %w", ErrEncryption, err)
	}
	// The private key has done its work; the channel is what is left to keep.
	d.private, d.channel, d.transcript, d.readerKey = nil, channel, script, peer
	return nil
}

// Respond encrypts a DeviceResponse. With end the message also carries status
// 20 and the session is over once it is made. ErrOrder if no request waits for
// a response. With ErrTimeout the message is status 20 and still to be sent.
func (d *Device) Respond(response []byte, end bool, now time.Time) ([]byte, error) {
	if reply, err := d.begin(now); err != nil {
		return reply, err
	}
	if d.state != asked {
		return nil, fmt.Errorf("%w: a response without a request", ErrOrder)
	}
	d.state = answered
	d.deadline = now.Add(IdleTimeout)
	return d.data(response, end)
}

// Refuse ends the session with a status instead of a response, for example
// StatusDecodingError when the DeviceRequest is no CBOR.
func (d *Device) Refuse(status Status) ([]byte, error) { return d.stop(status) }

// Terminate ends the session and returns the message with status 20.
func (d *Device) Terminate() ([]byte, error) { return d.stop(StatusTermination) }

// Transcript is the SessionTranscript, the untagged CBOR array, as a copy; nil
// before the session is established. It stays available after the end.
func (d *Device) Transcript() []byte { return bytes.Clone(d.transcript) }

// EReaderKey is the reader's ephemeral public key, for a deviceMac; nil before
// the session is established. It stays available after the end.
func (d *Device) EReaderKey() *ecdh.PublicKey { return d.readerKey }

// Deadline is when Tick will end the session; zero if never.
func (d *Device) Deadline() time.Time { return d.deadline }

// Tick ends the session if the deadline has passed, with the message to send
// (status 20) and ErrTimeout; else it does nothing. ErrTerminated after the end.
func (d *Device) Tick(now time.Time) ([]byte, error) { return d.begin(now) }

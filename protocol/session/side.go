package session

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
)

// state of one side. Which states there are depends on the side.
type state uint8

const (
	fresh    state = iota // device: no engagement yet; reader: nothing requested yet
	engaged               // device: waits for the SessionEstablishment
	asked                 // device: owes a response; reader: waits for one
	answered              // device: waits for a request; reader: may request again
	over
)

// side is what Device and Reader have in common.
type side struct {
	state      state
	private    *ecdh.PrivateKey
	channel    *channel
	transcript []byte
	deadline   time.Time
}

// wipe ends the session: the keys are dropped, nothing decrypts any more.
// ISO/IEC 18013-5:2021, 9.1.1.4.
func (s *side) wipe() {
	s.state = over
	s.private, s.channel = nil, nil
	s.deadline = time.Time{}
}

// alive is the first line of every call: it refuses when the session is over
// and ends it when the deadline has passed.
func (s *side) alive(now time.Time) error {
	if s.state == over {
		return ErrTerminated
	}
	if !s.deadline.IsZero() && !now.Before(s.deadline) {
		s.wipe()
		return fmt.Errorf("%w (ISO/IEC 18013-5:2021, 9.1.1.4)", ErrTimeout)
	}
	return nil
}

// start is alive for Receive: the event that goes with its error.
func (s *side) start(now time.Time) (Event, error) {
	err := s.alive(now)
	if errors.Is(err, ErrTimeout) {
		return Event{Ended: true, Reply: statusMessage(StatusTermination)}, err
	}
	return Event{Ended: err != nil}, err
}

// begin is alive for calls that return a message to send.
func (s *side) begin(now time.Time) ([]byte, error) {
	err := s.alive(now)
	if errors.Is(err, ErrTimeout) {
		return statusMessage(StatusTermination), err
	}
	return nil, err
}

// fail ends the session because of what was received.
func (s *side) fail(err error) (Event, error) {
	s.wipe()
	status := StatusEncryptionError
	if errors.Is(err, ErrDecoding) {
		status = StatusDecodingError
	}
	return Event{Ended: true, Reply: statusMessage(status)}, err
}

// take handles what both sides do with a SessionData: its status, and the
// decryption of its data. It does not change the state but to end it.
func (s *side) take(m message) (Event, error) {
	event := Event{Status: m.status}
	if m.status == StatusEncryptionError || m.status == StatusDecodingError {
		s.wipe()
		event.Ended = true // the peer is gone: no reply, also not to its mistake
		if m.data != nil {
			return event, fmt.Errorf("%w: %w: data beside status %v (ISO/IEC 18013-5:2021, 9.1.1.4)", ErrPeer, ErrDecoding, m.status)
		}
		return event, fmt.Errorf("%w: status %v", ErrPeer, m.status)
	}
	if m.data == nil && m.status == StatusNone {
		return s.fail(fmt.Errorf("%w: neither data nor status (ISO/IEC 18013-5:2021, 9.1.1.4)", ErrDecoding))
	}
	if m.data != nil {
		if s.channel == nil {
			return s.fail(fmt.Errorf("%w: data before the session is established", ErrDecoding))
		}
		plain, err := s.channel.open(m.data)
		if err != nil {
			return s.fail(err)
		}
		event.Plaintext = plain
	}
	if m.status == StatusTermination {
		s.wipe()
		event.Ended = true
	}
	return event, nil
}

// data makes a SessionData of an encrypted message; with end it carries status
// 20 and is the last.
func (s *side) data(plain []byte, end bool) ([]byte, error) {
	members := 1
	if end {
		members = 2
	}
	b := cbor.AppendMap(make([]byte, 0, len(plain)+48), members)
	b, err := s.channel.appendSealed(cbor.AppendText(b, "data"), plain)
	if err != nil {
		s.wipe()
		return nil, fmt.Errorf("%w: %w", ErrTerminated, err)
	}
	if end {
		b = cbor.AppendUint(cbor.AppendText(b, "status"), uint64(StatusTermination))
		s.wipe()
	}
	return b, nil
}

// stop ends the session with a status of our choice.
func (s *side) stop(status Status) ([]byte, error) {
	if s.state == over {
		return nil, ErrTerminated
	}
	switch status {
	case StatusEncryptionError, StatusDecodingError, StatusTermination:
		s.wipe()
		return statusMessage(status), nil
	}
	return nil, fmt.Errorf("session: %v cannot be sent (ISO/IEC 18013-5:2021, 9.1.1.4)", status)
}

// curveName names the curves of ephemeral keys in errors.
func curveName(c ecdh.Curve) string {
	if s, ok := c.(interface{ String() string }); ok {
		return s.String()
	}
	return "unknown curve"
}

package session

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/engagement"
)

// ErrDomain: the mdoc received the link from a page that is not the reader's,
// or does not know from where. The session is over.
var ErrDomain = errors.New("session: the link did not come from a page of this website")

// Website is a reader's session with the mdoc that follows a link on a page and
// posts its messages: what has to be kept between them. It holds a private key,
// so the role stores it sealed and deletes it at the end.
//
//	website                                             mdoc
//	NewWebsite, Link             -- link ------------>  ParseReaderLink, NewDevice
//	Engage, Reader.Request      <-- engagement -------  EngageReader, Message
//	                             -- request --------->  Receive
//	Resume, Reader.Receive      <-- response ---------  Respond
//	Reader.Terminate             -- status 20 ------->
//
// ISO/IEC TS 18013-7 (draft N2544), Annex A.
type Website struct {
	// ReaderEngagement is what the link carries.
	ReaderEngagement []byte `json:"reader_engagement"`
	// DeviceEngagement is the mdoc's; empty until it came.
	DeviceEngagement []byte `json:"device_engagement,omitempty"`
	// PrivateKey is the scalar of EReaderKey: on P-256 in the link, on the
	// mdoc's curve once it is known.
	PrivateKey []byte    `json:"private_key"`
	Expires    time.Time `json:"expires"`
}

// NewWebsite makes a session for an mdoc that will post to uri, whose path
// tells this session from others.
//
// ISO/IEC TS 18013-7 (draft N2544), A.1 and A.7, step 0.
func NewWebsite(uri string, expires time.Time) (*Website, error) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("session: ephemeral key: %w", err)
	}
	e, err := engagement.NewReader(private.PublicKey(), uri)
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	return &Website{ReaderEngagement: e.Raw, PrivateKey: private.Bytes(), Expires: expires}, nil
}

// Link is what the page shows: "mdoc://" and the ReaderEngagement.
func (s *Website) Link() (string, error) {
	e, err := engagement.ParseReader(s.ReaderEngagement)
	if err != nil {
		return "", err
	}
	return e.Link(), nil
}

// Engage takes the mdoc's DeviceEngagementMessage and returns the reader, which
// has the transcript and makes the request. domain is the host name of the page
// with the link: an mdoc that has the link from elsewhere is refused, because
// somebody passed it on to a person who does not know where it leads. The
// session is to be stored before the request leaves; who else engages is
// ErrOrder.
//
// Other errors: ErrTimeout, ErrDecoding, ErrDomain, engagement.ErrUnsupported.
//
// ISO/IEC TS 18013-7 (draft N2544), 6.4.4.3 and A.7, step 2.
func (s *Website) Engage(message []byte, domain string, now time.Time) (*Reader, error) {
	if len(s.DeviceEngagement) > 0 {
		return nil, fmt.Errorf("%w: the session has an engagement already", ErrOrder)
	}
	if !now.Before(s.Expires) {
		return nil, ErrTimeout
	}
	e, err := engagement.ParseMessage(message)
	switch {
	case errors.Is(err, engagement.ErrUnsupported):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrDecoding, err)
	case e.EDeviceKey == nil:
		return nil, fmt.Errorf("session: %w: curve of EDeviceKey (ISO/IEC 18013-5:2021, 9.1.5.2)", engagement.ErrUnsupported)
	case !e.CameFrom(domain):
		return nil, fmt.Errorf("%w: the mdoc has to say that it did (ISO/IEC TS 18013-7, 6.4.4.3)", ErrDomain)
	}
	engaged := *s
	engaged.DeviceEngagement = bytes.Clone(e.Raw)
	if curve := e.EDeviceKey.Curve(); curve != ecdh.P256() {
		private, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("session: ephemeral key: %w", err)
		}
		engaged.PrivateKey = private.Bytes()
	}
	r, err := engaged.reader()
	if err != nil {
		return nil, err
	}
	*s = engaged
	return r, nil
}

// reader is the reader after the mdoc's engagement, before the request.
func (s *Website) reader() (*Reader, error) {
	e, err := engagement.Parse(s.DeviceEngagement)
	if err != nil {
		return nil, err
	}
	private, err := e.EDeviceKey.Curve().NewPrivateKey(s.PrivateKey)
	if err != nil {
		return nil, errors.New("session: the stored key is damaged")
	}
	r, err := newReader(e, mdoc.WebsiteHandover(s.ReaderEngagement), private)
	if err != nil {
		return nil, err
	}
	r.known = private.Curve() == ecdh.P256() // then it is the key of the link
	return r, nil
}

// Resume returns the reader that has sent its one request, for the response.
// The caller sees to it that this happens once. Errors: ErrOrder without an
// engagement, ErrTimeout.
func (s *Website) Resume(now time.Time) (*Reader, error) {
	if len(s.DeviceEngagement) == 0 {
		return nil, fmt.Errorf("%w: no mdoc has engaged", ErrOrder)
	}
	if !now.Before(s.Expires) {
		return nil, ErrTimeout
	}
	r, err := s.reader()
	if err != nil {
		return nil, err
	}
	if _, err := r.channel.send.next(); err != nil {
		return nil, err
	}
	r.state, r.deadline = asked, s.Expires
	return r, nil
}

package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/session"
)

// mediaCBOR is that of session messages. ISO/IEC TS 18013-7 (draft N2544), A.6.2.
const mediaCBOR = "application/cbor"

// kept is what a session by a reader's link has to remember. Extended is
// whether the mdoc understands choices.
type kept struct {
	session.Website
	Extended bool `json:"extended,omitempty"`
}

// ReaderLink is a link (mdoc://…) for a page on our host, by which apps answer a
// transaction in a session over HTTPS. It does not go together with
// AskParams.SameDevice: nothing brings the browser back with a response code.
// Errors: ErrUnknownTenant, ErrUnknownTransaction, ErrInvalid.
//
// ISO/IEC TS 18013-7 (draft N2544), A.4.
func (v *Verifier) ReaderLink(ctx context.Context, tenant, id string) (string, error) {
	t, r, req, err := v.openWay(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	if req.SameDevice {
		return "", fmt.Errorf("%w: a reader's link cannot be bound to the browser that shows it", ErrInvalid)
	}
	q, err := req.isoQuery(false)
	if err != nil {
		return "", err
	}
	if _, _, err := q.DeviceRequest(); err != nil { // before anybody is bothered
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var s kept
	err = t.beginWay(ctx, wayReaderLink, r, &s, func() error {
		fresh, err := session.NewWebsite(t.base+"/mdoc/"+r.handle, r.expires)
		if err == nil {
			s.Website = *fresh
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return s.Link()
}

// serveReader takes the messages of an mdoc that followed a reader's link.
//
// ISO/IEC TS 18013-7 (draft N2544), A.6.2.
func (t *tenant) serveReader(w http.ResponseWriter, r *http.Request) error {
	req, err := web.ToFetch(w, r, t.v.config.URL, maxResponse)
	if err != nil {
		return err
	}
	message, err := t.readerMessage(r.Context(), r.PathValue("handle"), req)
	if message == nil {
		return refuse(w, err)
	}
	web.Reply(w, http.StatusOK, mediaCBOR, message)
	return nil
}

// readerMessage answers a message of the mdoc: the first is its engagement, the
// second its response. A message beside an error ends the session.
func (t *tenant) readerMessage(ctx context.Context, handle string, posted fetch.Request) ([]byte, error) {
	if (fetch.Response{Header: posted.Header}).MediaType() != mediaCBOR {
		return nil, &refusal{oid4vp.InvalidRequest, "a session message is " + mediaCBOR + " (ISO/IEC TS 18013-7, A.6.2)"}
	}
	r, req, err := t.openRequest(ctx, handle)
	if err != nil {
		return nil, err
	}
	var s kept
	read, err := t.goOn(ctx, wayReaderLink, r, &s)
	if err != nil {
		return nil, err
	}
	if len(s.DeviceEngagement) == 0 {
		return t.readerEngaged(ctx, r, &req, &s, read, posted.Body)
	}
	return t.readerAnswered(ctx, r, &req, &s, posted.Body)
}

// readerEngaged answers an engagement with the request.
func (t *tenant) readerEngaged(ctx context.Context, r row, req *request, s *kept, read, message []byte) ([]byte, error) {
	now := t.v.now()
	reader, err := s.Engage(message, t.host, now)
	switch {
	case errors.Is(err, session.ErrDecoding), errors.Is(err, session.ErrDomain), errors.Is(err, session.ErrTimeout), errors.Is(err, engagement.ErrUnsupported):
		return nil, &refusal{oid4vp.InvalidRequest, err.Error()}
	case err != nil:
		return nil, err
	}
	e, err := engagement.Parse(s.DeviceEngagement)
	if err != nil {
		return nil, err
	}
	s.Extended = e.Capabilities != nil && e.Capabilities.ExtendedRequest
	q, err := req.isoQuery(s.Extended)
	if err != nil {
		return nil, err
	}
	p, err := t.deviceRequest(ctx, q, reader.Transcript(), e.Capabilities != nil && e.Capabilities.ReaderAuthAllSupport)
	if err != nil {
		return nil, err
	}
	request, err := mdoc.BuildDeviceRequest(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("verifier: request: %w", err)
	}
	sealed, err := reader.Request(request, now)
	if err != nil {
		return nil, err
	}
	if err := t.replace(ctx, wayReaderLink, r, read, s); err != nil {
		return nil, err
	}
	return sealed, nil
}

// readerAnswered takes the response and ends the session.
func (t *tenant) readerAnswered(ctx context.Context, r row, req *request, s *kept, message []byte) ([]byte, error) {
	now := t.v.now()
	reader, err := s.Resume(now)
	if err != nil {
		return nil, &refusal{oid4vp.InvalidRequest, err.Error()}
	}
	event, err := reader.Receive(message, now)
	if err != nil && event.Plaintext == nil {
		return event.Reply, &refusal{oid4vp.InvalidRequest, err.Error()}
	}
	q, err := req.isoQuery(s.Extended)
	if err != nil {
		return nil, err
	}
	a := isoAnswer{response: event.Plaintext, transcript: reader.Transcript()}
	if event.MacKey != nil {
		a.mac = event.MacKey
	}
	if event.Plaintext == nil { // it ended the session, and said nothing
		a.refused = refusedText(&oid4vp.Answer{Error: oid4vp.AccessDenied})
	}
	if _, err := t.conclude(ctx, r, req, q, a, now); err != nil {
		if _, ok := errors.AsType[*refusal](err); !ok || event.Ended {
			return nil, err
		}
		// The verdict is for the page; the mdoc learns that the session is over.
	}
	if event.Ended {
		return []byte{}, nil
	}
	return reader.Terminate()
}

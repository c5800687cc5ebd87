package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
)

// pageProtocol answers a request of one protocol of the Digital Credentials API
// from a page of an origin, which the platform told. Without an id of the entry
// the request was not in order, and nobody was asked. Data beside an error says
// so to the page, if the platform passes it on.
type pageProtocol func(w *Wallet, ctx context.Context, r dcapi.Request, origin string) (data json.RawMessage, entry LogEntry, err error)

// pageProtocols are those that this app speaks, by name.
func pageProtocols() map[string]pageProtocol {
	return map[string]pageProtocol{
		dcapi.ProtocolMdoc:         (*Wallet).answerPageMdoc,
		dcapi.ProtocolMdocDraft:    (*Wallet).answerPageMdoc,
		oid4vp.ProtocolUnsigned:    (*Wallet).answerPageOID4VP,
		oid4vp.ProtocolSigned:      (*Wallet).answerPageOID4VP,
		oid4vp.ProtocolMultisigned: (*Wallet).answerPageOID4VP,
	}
}

// AnswerBrowser answers a page that called the Digital Credentials API, for
// whatever platform stands between: request is the JSON of the list of
// requests, origin that of the page as the platform knows it, never as a
// message says it. Of the list it takes the first request whose protocol this
// app speaks and that is in order.
//
// It returns the response for the page, as JSON with protocol and data, and
// the entry of the log. Without a response the platform tells the page that
// nothing comes, in the same words whether the holder refused (ErrRefused), has
// no such document (ErrNothing), or something went wrong.
//
// W3C Digital Credentials (working draft), 4 and 5.
func (w *Wallet) AnswerBrowser(ctx context.Context, request []byte, origin string) (response []byte, entry LogEntry, err error) {
	const wrong = "the page's request is not in order, nothing was shown: %w"
	if err := dcapi.CheckOrigin(origin); err != nil {
		return nil, LogEntry{}, fmt.Errorf(wrong, err)
	}
	list, err := dcapi.ParseRequests(request)
	if err != nil {
		return nil, LogEntry{}, fmt.Errorf(wrong, err)
	}
	var why error
	for _, r := range list {
		answer := pageProtocols()[r.Protocol]
		if answer == nil {
			continue
		}
		data, entry, err := answer(w, ctx, r, origin)
		if entry.ID == "" {
			why = errors.Join(why, fmt.Errorf("%s: %w", r.Protocol, err))
			continue
		}
		if data == nil {
			return nil, entry, err
		}
		response, failed := json.Marshal(dcapi.Response{Protocol: r.Protocol, Data: data})
		return response, entry, errors.Join(err, failed)
	}
	if why == nil {
		why = errors.New("it asks by no protocol that this app speaks")
	}
	return nil, LogEntry{}, fmt.Errorf(wrong, why)
}

// answerPageMdoc answers a request of ISO/IEC TS 18013-7, Annex C.
func (w *Wallet) answerPageMdoc(ctx context.Context, r dcapi.Request, origin string) (json.RawMessage, LogEntry, error) {
	req, err := dcapi.OpenMdoc(r, origin)
	if err != nil {
		return nil, LogEntry{}, err
	}
	q, err := query.FromDeviceRequest(req.Device)
	if err != nil {
		return nil, LogEntry{}, err
	}
	reader, err := w.remoteReader(ctx, req.Device, req.Transcript())
	if err != nil {
		return nil, LogEntry{}, err
	}
	m, err := w.consider(ctx, q, Remote, siteParty(reader, origin))
	if err != nil {
		return nil, LogEntry{}, err
	}
	data, err := m.presentPageMdoc(ctx, req)
	err = errors.Join(err, m.end(ctx, err))
	return data, m.entry, err
}

// presentPageMdoc asks the holder and makes the one response.
func (m *matter) presentPageMdoc(ctx context.Context, req *dcapi.MdocRequest) (json.RawMessage, error) {
	selection, err := m.ask(ctx)
	if err != nil {
		return nil, err
	}
	response, err := m.deviceResponse(ctx, selection, req.Transcript())
	if err != nil {
		return nil, err
	}
	return req.Answer(response)
}

// siteParty is a reader behind a website of an origin that is certain: one that
// did not sign is known by that, though nobody vouches for it.
func siteParty(r assure.Reader, origin string) Party {
	p := readerParty(r)
	p.ID = oneLine(origin, 200)
	if p.Standing == assure.ReaderAnonymous {
		p.Standing, p.Name = assure.ReaderUnknown, hostOf(origin)
	}
	return p
}

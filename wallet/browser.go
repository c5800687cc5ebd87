package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/query"
)

// pageRequest is a request of a page that is in order: what it asks, who asks,
// and how to answer.
type pageRequest struct {
	query query.Query
	party Party
	// answer makes the response from what the holder agreed to.
	answer func(ctx context.Context, m *matter, s query.Selection) (dcapi.Response, error)
}

// pageProtocol opens requests of one protocol of the Digital Credentials API.
type pageProtocol func(w *Wallet, ctx context.Context, r dcapi.Request, origin string) (*pageRequest, error)

// pageProtocols are those that this app speaks, by name.
func pageProtocols() map[string]pageProtocol {
	return map[string]pageProtocol{
		dcapi.ProtocolMdoc:      (*Wallet).openPageMdoc,
		dcapi.ProtocolMdocDraft: (*Wallet).openPageMdoc,
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
	asked, err := w.openPage(ctx, request, origin)
	if err != nil {
		return nil, LogEntry{}, fmt.Errorf("the page's request is not in order, nothing was shown: %w", err)
	}
	m, err := w.consider(ctx, asked.query, Remote, asked.party)
	if err != nil {
		return nil, LogEntry{}, err
	}
	response, err = m.answerPage(ctx, asked)
	err = errors.Join(err, m.end(ctx, err))
	return response, m.entry, err
}

// openPage finds the request to answer.
func (w *Wallet) openPage(ctx context.Context, request []byte, origin string) (*pageRequest, error) {
	if err := dcapi.CheckOrigin(origin); err != nil {
		return nil, err
	}
	list, err := dcapi.ParseRequests(request)
	if err != nil {
		return nil, err
	}
	var why error
	for _, r := range list {
		open := pageProtocols()[r.Protocol]
		if open == nil {
			continue
		}
		asked, err := open(w, ctx, r, origin)
		if err == nil {
			return asked, nil
		}
		why = errors.Join(why, fmt.Errorf("%s: %w", r.Protocol, err))
	}
	if why == nil {
		why = errors.New("it asks by no protocol that this app speaks")
	}
	return nil, why
}

// answerPage asks the holder and makes the response.
func (m *matter) answerPage(ctx context.Context, asked *pageRequest) ([]byte, error) {
	selection, err := m.ask(ctx)
	if err != nil {
		return nil, err
	}
	response, err := asked.answer(ctx, m, selection)
	if err != nil {
		return nil, err
	}
	return json.Marshal(response)
}

// openPageMdoc opens a request of ISO/IEC TS 18013-7, Annex C.
func (w *Wallet) openPageMdoc(ctx context.Context, r dcapi.Request, origin string) (*pageRequest, error) {
	req, err := dcapi.OpenMdoc(r, origin)
	if err != nil {
		return nil, err
	}
	q, err := query.FromDeviceRequest(req.Device)
	if err != nil {
		return nil, err
	}
	transcript := req.Transcript()
	reader, err := w.remoteReader(ctx, req.Device, transcript)
	if err != nil {
		return nil, err
	}
	return &pageRequest{query: q, party: siteParty(reader, origin), answer: func(ctx context.Context, m *matter, s query.Selection) (dcapi.Response, error) {
		response, err := m.deviceResponse(ctx, s, transcript)
		if err != nil {
			return dcapi.Response{}, err
		}
		return req.Answer(response)
	}}, nil
}

// siteParty is a reader behind a website whose address somebody trusted has
// told: one that did not sign is known by that, though nobody vouches for it.
func siteParty(r assure.Reader, address string) Party {
	p := readerParty(r)
	p.ID = oneLine(address, 200)
	if p.Standing == assure.ReaderAnonymous {
		p.Standing, p.Name = assure.ReaderUnknown, hostOf(address)
	}
	return p
}

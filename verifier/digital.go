package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// ofPage is the way of a transaction for the pages of one origin: what it keeps
// answers no page of another, and has a nonce and keys of its own.
func ofPage(way, origin string) string { return way + " " + origin }

// DigitalRequests are what a page of an origin asks the browser with, by the
// Digital Credentials API, to have a transaction answered: the same question by
// each protocol that can carry it, those that prove most first. A second call
// asks the same again. Errors: ErrUnknownTenant, ErrUnknownTransaction,
// ErrInvalid.
//
// OpenID4VP 1.0, A; ISO/IEC TS 18013-7 (draft N2544), C.2.
func (v *Verifier) DigitalRequests(ctx context.Context, tenant, id, origin string) ([]dcapi.Request, error) {
	t, r, req, err := v.openWay(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	return t.digitalRequests(ctx, r, &req, origin)
}

func (t *tenant) digitalRequests(ctx context.Context, r row, req *request, origin string) ([]dcapi.Request, error) {
	if err := dcapi.CheckOrigin(origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	list, err := t.openIDRequests(ctx, r, req, origin)
	if err != nil {
		return nil, err
	}
	mdoc, err := t.mdocRequest(ctx, r, req, origin)
	switch {
	case errors.Is(err, ErrInvalid): // it asks for what a DeviceRequest has no words for
	case err != nil:
		return nil, err
	default: // before the one that nobody signed
		list = slices.Insert(list, len(list)-1, mdoc)
	}
	if r.retain == 0 {
		return list, nil
	}
	served, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	evidence, err := t.sealEvidence(ctx, r, Evidence{Request: string(served)})
	if err != nil {
		return nil, err
	}
	return list, t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return keepEvidence(ctx, tx, t.config.ID, r.id, evidence)
	})
}

// openIDRequests asks by OpenID4VP: signed, signed under all names where the
// relying party has several, and last not signed. The answer is encrypted.
//
// OpenID4VP 1.0, A.2 and A.3; HAIP 1.0, 5.2.
func (t *tenant) openIDRequests(ctx context.Context, r row, req *request, origin string) ([]dcapi.Request, error) {
	engine, err := t.engine(ctx)
	if err != nil {
		return nil, err
	}
	q, err := req.asked()
	if err != nil {
		return nil, err
	}
	transactions, err := req.transactions()
	if err != nil {
		return nil, err
	}
	var tx oid4vp.Transaction
	now := t.v.now()
	err = t.beginWay(ctx, ofPage(wayDigital, origin), r, &tx, func() error {
		fresh, err := engine.Begin(oid4vp.Params{Query: q, Transactions: transactions, Lifetime: r.expires.Sub(now)}, now)
		if err == nil {
			tx = *fresh
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	all, err := engine.DCRequests(ctx, &tx, []string{origin}, now)
	if _, ok := errors.AsType[*oid4vp.Error](err); ok { // such as a certificate that was renewed in between
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err != nil {
		return nil, err
	}
	var list []dcapi.Request
	for _, one := range all {
		if one.Protocol != oid4vp.ProtocolMultisigned || len(engine.Also) > 0 {
			list = append(list, dcapi.Request(one))
		}
	}
	return list, nil
}

// serveDigital answers a page with what to ask the browser. Who knows the number
// of a transaction has its link too: nothing is given away here.
//
// W3C Digital Credentials (working draft), 4.
func (t *tenant) serveDigital(w http.ResponseWriter, r *http.Request) error {
	origin, ok := t.pageOrigin(w, r)
	if !ok {
		return errOrigin
	}
	_, row, req, err := t.v.openNumber(r.Context(), t.config.ID, r.PathValue("number"))
	if err != nil {
		return err
	}
	list, err := t.digitalRequests(r.Context(), row, &req, origin)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, struct {
		Requests []dcapi.Request `json:"requests"`
	}{list})
	return nil
}

// serveDigitalAnswer takes what the browser gave a page. The page learns where to
// go next, if it has to go anywhere.
func (t *tenant) serveDigitalAnswer(w http.ResponseWriter, r *http.Request) error {
	origin, ok := t.pageOrigin(w, r)
	if !ok {
		return errOrigin
	}
	body, err := web.ReadBody(w, r, maxResponse)
	if err != nil {
		return err
	}
	response, err := dcapi.ParseResponse(body)
	if err != nil {
		return refuse(w, &refusal{oid4vp.InvalidRequest, err.Error()})
	}
	_, row, req, err := t.v.openNumber(r.Context(), t.config.ID, r.PathValue("number"))
	if errors.Is(err, ErrInvalid) {
		return refuse(w, &refusal{oid4vp.InvalidRequest, "the request is finished; start again at the verifier"})
	}
	if err != nil {
		return err
	}
	redirect, err := t.digitalAnswer(r.Context(), row, &req, origin, response)
	if err != nil {
		return refuse(w, err)
	}
	out, err := reply(redirect)
	if err != nil {
		return err
	}
	web.Reply(w, http.StatusOK, "application/json", out)
	return nil
}

// AnswerDigital takes what the browser gave a page of an origin, verifies it and
// ends the transaction. It returns where the browser goes next. Errors besides
// those of DigitalRequests say what is wrong with the answer, for the page.
//
// OpenID4VP 1.0, A.4; ISO/IEC TS 18013-7 (draft N2544), C.3.
func (v *Verifier) AnswerDigital(ctx context.Context, tenant, id, origin string, response dcapi.Response) (redirect string, err error) {
	t, r, req, err := v.openWay(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	return t.digitalAnswer(ctx, r, &req, origin, response)
}

// digitalAnswer has the protocol of an answer open it.
func (t *tenant) digitalAnswer(ctx context.Context, r row, req *request, origin string, response dcapi.Response) (redirect string, err error) {
	switch response.Protocol {
	case dcapi.ProtocolMdoc, dcapi.ProtocolMdocDraft:
		return t.answerMdoc(ctx, r, req, origin, response)
	case oid4vp.ProtocolSigned, oid4vp.ProtocolMultisigned, oid4vp.ProtocolUnsigned:
		return t.answerOpenID(ctx, r, req, origin, response)
	}
	return "", &refusal{oid4vp.InvalidRequest, "this was not asked for: the protocol is none of the request"}
}

// answerOpenID opens an answer to a request of openIDRequests. That it was made
// for a page of this origin its bindings show: an mdoc's transcript, and the
// audience of a key binding JWT.
//
// OpenID4VP 1.0, A.4 and B.2.6.2.
func (t *tenant) answerOpenID(ctx context.Context, r row, req *request, origin string, response dcapi.Response) (redirect string, err error) {
	var tx oid4vp.Transaction
	if _, err := t.goOn(ctx, ofPage(wayDigital, origin), r, &tx); err != nil {
		return "", err
	}
	now := t.v.now()
	posted, err := tx.OpenDC(ctx, response.Data, origin, now)
	if err != nil {
		return "", asRefusal(err)
	}
	return t.answered(ctx, r, req, posted, receivedFromPage(response), now)
}

// receivedFromPage is what a page handed on, for evidence.
func receivedFromPage(r dcapi.Response) []Field {
	return []Field{{"protocol", r.Protocol}, {"data", string(r.Data)}}
}

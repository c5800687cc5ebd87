package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// digitalRequests are what a page of an origin may ask the browser with: the same
// question by each protocol that can carry it, those that prove most first.
//
// OpenID4VP 1.0, A.2; ISO/IEC TS 18013-7 (draft N2544), C.2.
func (t *tenant) digitalRequests(ctx context.Context, r row, req *request, origin string) ([]dcapi.Request, error) {
	engine, err := t.engine(ctx)
	if err != nil {
		return nil, err
	}
	list := []dcapi.Request{}
	if engine.ClientID == req.OID4VP.ClientID { // else the certificate was renewed in between
		all, err := engine.DCRequests(ctx, &req.OID4VP, []string{origin}, t.v.now())
		if err != nil {
			return nil, err
		}
		for _, one := range all {
			list = append(list, dcapi.Request{Protocol: one.Protocol, Data: one.Data})
		}
	}
	mdoc, err := t.mdocRequest(ctx, r, req, origin)
	if err == nil {
		list = append(list, mdoc)
	} else if !errors.Is(err, ErrInvalid) { // that is: a DeviceRequest has no words for what is asked
		return nil, err
	}
	return list, t.keepAsked(ctx, r, list)
}

// keepAsked notes what a page was given, of what is kept.
func (t *tenant) keepAsked(ctx context.Context, r row, list []dcapi.Request) error {
	if r.retain == 0 {
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	evidence, err := t.sealEvidence(ctx, r, Evidence{Request: string(text)})
	if err != nil {
		return err
	}
	return t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error { return keepEvidence(ctx, tx, t.config.ID, r.id, evidence) })
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

// digitalAnswer has the protocol of an answer open it.
func (t *tenant) digitalAnswer(ctx context.Context, r row, req *request, origin string, response dcapi.Response) (redirect string, err error) {
	switch response.Protocol {
	case dcapi.ProtocolMdoc, dcapi.ProtocolMdocDraft:
		return t.answerMdoc(ctx, r, req, response)
	case oid4vp.ProtocolSigned, oid4vp.ProtocolMultisigned, oid4vp.ProtocolUnsigned:
		now := t.v.now()
		posted, err := req.OID4VP.OpenDC(ctx, response.Data, origin, now)
		if err != nil {
			return "", asRefusal(err)
		}
		return t.answered(ctx, r, req, posted, []Field{{"protocol", response.Protocol}, {"data", string(response.Data)}}, now)
	}
	return "", &refusal{oid4vp.InvalidRequest, "this was not asked for: the protocol is none of the request"}
}

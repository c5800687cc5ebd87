package verifier

import (
	"context"
	"errors"
	"net/http"

	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// digitalRequests are what a page of an origin may ask the browser with: the same
// question by each protocol that can carry it.
func (t *tenant) digitalRequests(ctx context.Context, r row, req *request, origin string) ([]dcapi.Request, error) {
	list := []dcapi.Request{}
	mdoc, err := t.mdocRequest(ctx, r, req, origin)
	if errors.Is(err, ErrInvalid) {
		return list, nil // it asks for what a DeviceRequest has no words for
	}
	return append(list, mdoc), err
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
func (t *tenant) digitalAnswer(ctx context.Context, r row, req *request, _ string, response dcapi.Response) (redirect string, err error) {
	switch response.Protocol {
	case dcapi.ProtocolMdoc, dcapi.ProtocolMdocDraft:
		return t.answerMdoc(ctx, r, req, response)
	}
	return "", &refusal{oid4vp.InvalidRequest, "this was not asked for: the protocol is none of the request"}
}

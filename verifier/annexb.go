package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// AnnexBLink is a link (mdoc-openid4vp://…) for the page that the holder has
// open on the same device, by which apps of the older OpenID4VP profile answer
// a transaction. Only AskParams.SameDevice makes sure that it was that device:
// who takes this way for other than trying sets it. Errors: ErrUnknownTenant,
// ErrUnknownTransaction, ErrInvalid.
//
// ISO/IEC TS 18013-7 (draft N2544), B.1.1 and B.4.2.2.
func (v *Verifier) AnnexBLink(ctx context.Context, tenant, id string) (string, error) {
	t, r, req, err := v.openWay(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	q, err := req.isoQuery(false)
	if err != nil {
		return "", err
	}
	engine, err := t.certified(ctx)
	if err != nil {
		return "", err
	}
	var tx oid4vp.AnnexBTransaction
	now := v.now()
	err = t.beginWay(ctx, wayAnnexB, r, &tx, func() error {
		address := t.base + "/annex-b/" + r.handle
		fresh, err := engine.BeginAnnexB(oid4vp.Params{Query: q, RequestURI: address, ResponseURI: address, Lifetime: r.expires.Sub(now)}, now)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		tx = *fresh
		return nil
	})
	return tx.Link(), err
}

// serveAnnexB serves the request, and takes the answer at the same address.
//
// ISO/IEC TS 18013-7 (draft N2544), B.1.2.
func (t *tenant) serveAnnexB(w http.ResponseWriter, r *http.Request) error {
	req, err := web.ToFetch(w, r, t.v.config.URL, maxResponse)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		object, err := t.annexBObject(r.Context(), r.PathValue("handle"))
		if err != nil {
			return refuse(w, err)
		}
		web.Reply(w, http.StatusOK, oid4vp.RequestObjectMediaType, []byte(object))
		return nil
	}
	redirect, err := t.annexBAnswer(r.Context(), r.PathValue("handle"), req)
	if err != nil {
		return refuse(w, err)
	}
	body, err := reply(redirect)
	if err != nil {
		return err
	}
	web.Reply(w, http.StatusOK, "application/json", body)
	return nil
}

func (t *tenant) annexBObject(ctx context.Context, handle string) (string, error) {
	r, _, err := t.openRequest(ctx, handle)
	if err != nil {
		return "", err
	}
	var tx oid4vp.AnnexBTransaction
	if _, err := t.goOn(ctx, wayAnnexB, r, &tx); err != nil {
		return "", err
	}
	engine, err := t.certified(ctx)
	if err != nil {
		return "", err
	}
	object, err := engine.AnnexBObject(ctx, &tx, t.v.now())
	if err != nil {
		return "", asRefusal(err)
	}
	return object, t.fetched(ctx, r, Evidence{Request: object})
}

func (t *tenant) annexBAnswer(ctx context.Context, handle string, posted fetch.Request) (redirect string, err error) {
	form, err := posted.Form()
	if errors.Is(err, fetch.ErrForm) {
		return "", &refusal{oid4vp.InvalidRequest, err.Error()}
	}
	if err != nil {
		return "", err
	}
	r, req, err := t.openRequest(ctx, handle)
	if err != nil {
		return "", err
	}
	var tx oid4vp.AnnexBTransaction
	if _, err := t.goOn(ctx, wayAnnexB, r, &tx); err != nil {
		return "", err
	}
	q, err := req.isoQuery(false)
	if err != nil {
		return "", err
	}
	now := t.v.now()
	a, err := tx.Open(ctx, form, now)
	if err != nil {
		return "", asRefusal(err)
	}
	answer := isoAnswer{response: a.Response, transcript: a.Transcript, mac: a.EReaderKey}
	if a.Error != "" {
		answer.refused = refusedText(&oid4vp.Answer{Error: a.Error, Description: a.Description})
	}
	return t.conclude(ctx, r, &req, q, answer, now)
}

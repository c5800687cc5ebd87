package admin

import (
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/qrcode"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/issuer"
)

type offeringInfo struct {
	ID            string `json:"id"`
	DocType       string `json:"doctype"`
	Format        string `json:"format"`
	Name          string `json:"name"`
	Level         string `json:"level" doc:"that the keys of the app need at least"`
	Batch         int    `json:"batch" doc:"copies at once"`
	PreAuthorized bool   `json:"pre_authorized" doc:"can be had with a link and a PIN"`
	Authorization bool   `json:"authorization_code" doc:"can be had after identifying in the browser"`
}

type offeringList struct {
	Offerings []offeringInfo `json:"offerings"`
}

func (s *Server) listOfferings(c rest.Call, _ rest.None) (offeringList, error) {
	all, err := s.authority.Offerings(c.Tenant)
	list := offeringList{Offerings: make([]offeringInfo, len(all))}
	for i, o := range all {
		list.Offerings[i] = offeringInfo{o.ID, o.DocType, o.Format, o.Name, string(o.Level), o.Batch, o.PreAuthorized, o.Authorize}
	}
	return list, err
}

type offerRequest struct {
	Offerings []string  `json:"offerings" min:"1" max:"16" doc:"ids"`
	Subject   string    `json:"subject" min:"1" max:"128" doc:"the person's id in the register"`
	Grant     string    `json:"grant,omitempty" enum:"pre-authorized|authorization_code" doc:"pre-authorized if absent: whoever has link and PIN gets the documents; else the person identifies in the browser"`
	NoTxCode  bool      `json:"no_tx_code,omitempty" doc:"leave the PIN out, where every offering allows it"`
	Expires   time.Time `json:"expires,omitzero" doc:"within 90 days; after the authority's own time if absent"`
	QR        string    `json:"qr,omitempty" enum:"png|svg" doc:"answer with the link as a QR code, too"`
}

// offerAnswer holds secrets. They are answered once, or again under the same
// Idempotency-Key, and are not stored where others could read them.
type offerAnswer struct {
	ID      string    `json:"id" doc:"for logs and audit; no secret"`
	Link    string    `json:"link" doc:"for a button; a secret"`
	TxCode  string    `json:"tx_code,omitempty" doc:"PIN, to be told another way"`
	Expires time.Time `json:"expires"`
	QR      string    `json:"qr,omitempty" doc:"data: URL (RFC 2397) of an image of the link"`
}

func (s *Server) createOffer(c rest.Call, in offerRequest) (offerAnswer, error) {
	p := issuer.OfferParams{Offerings: in.Offerings, Subject: in.Subject, Grant: issuer.Grant(in.Grant), Expires: in.Expires}
	p.TxCode = !in.NoTxCode && p.Grant != issuer.AuthorizationCode
	o, err := s.authority.Offer(c, c.Tenant, p)
	if err != nil {
		return offerAnswer{}, err
	}
	a := offerAnswer{ID: o.ID, Link: o.Link, TxCode: o.TxCode, Expires: o.Expires.UTC()}
	if in.QR != "" {
		a.QR, err = qrCode(o.Link, in.QR)
	}
	return a, err
}

// qrCode draws a text as a data URL: png or svg.
func qrCode(text, kind string) (string, error) {
	code, err := qrcode.Paper(text)
	if err != nil {
		return "", fmt.Errorf("admin: %w", err)
	}
	return code.DataURL(kind), nil
}

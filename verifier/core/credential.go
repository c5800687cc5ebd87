package core

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/query"
)

// credential verifies an SD-JWT VC that answers the credential at the index.
//
// OpenID4VP 1.0, 8.6 and B.3.
func (v *verification) credential(ctx context.Context, s *sdjwt.SDJWT, index int) {
	if !v.room(index, s.VCT()) {
		return
	}
	asked := &v.Asked.Credentials[index]
	p := v.params(asked, s.VCT())
	// Whether the holder has to prove that it is theirs is what was asked, never
	// what came: RFC 9901, 7.3.
	if !asked.Unbound || s.KeyBinding != nil {
		p.KeyBinding = &sdjwt.KeyBindingParams{Audience: v.Audience, Nonce: v.Nonce}
	}
	found, report := assure.VerifySDJWT(ctx, s, p)
	doc := v.describe(asked, s.VCT(), &found.Signer, found.Issuer.Name, found.Issuer.Country)
	doc.Validity = Validity{Signed: found.IssuedAt, From: found.NotBefore, Until: found.Expires}
	doc.Status = statusOf(&found.Revocation, report.OK() && found.Status == nil)
	if found.HolderVerified {
		doc.Device = "signature"
	}
	a := v.answer(asked)
	if report.OK() {
		authorities(asked, &found.Signer, &report)
	}
	if report.OK() {
		v.disclosed(&doc, asked, found.Payload, &a, &report)
		v.agree(asked.ID, found.Transactions)
		doc.KeyBinding = found.KeyBinding
	}
	v.add(index, doc, a, report)
}

// disclosed shows the claims that were asked for and drops the others.
func (v *verification) disclosed(doc *Document, asked *query.Credential, p *sdjwt.Payload, a *answered, report *check.Report) {
	held := query.SDJWTClaims{Payload: p}
	for i := range asked.Claims {
		c := &asked.Claims[i]
		claims, err := p.Select(sdjwt.Path(c.Path))
		if err != nil || len(claims) == 0 {
			continue
		}
		values := held.Values(c.Path)
		if !c.Accepts(values) {
			a.other[i] = true
			continue
		}
		a.claims[i] = true
		doc.Elements = append(doc.Elements, v.claim(doc, asked, c, claims, values))
	}
	v.ages(doc, asked, report)
	var dropped []string
	for _, d := range p.Disclosed() {
		if !slices.ContainsFunc(asked.Claims, func(c query.Claim) bool { return onTheWay(c.Path, d.Path) }) {
			dropped = append(dropped, d.Path.String())
		}
	}
	onlyAsked(dropped, clauseMatch, report)
}

// onTheWay reports whether what was disclosed is part of what was asked for, or
// has it in it: one path begins with the other.
func onTheWay(asked query.Path, disclosed sdjwt.Path) bool {
	for i := range min(len(asked), len(disclosed)) {
		if _, index := disclosed[i].(int); asked[i] != disclosed[i] && (asked[i] != nil || !index) {
			return false
		}
	}
	return true
}

// claim is what one path selected, for people and systems. A portrait goes into
// the document.
func (v *verification) claim(doc *Document, asked *query.Credential, c *query.Claim, claims []sdjwt.Claim, values []any) Element {
	path := sdjwt.Path(c.Path)
	e := Element{ID: v.elementID(asked, path), Path: path, Label: v.claimLabel(asked, path), Retain: c.Retain}
	texts, sep := make([]string, len(claims)), ", "
	for i, found := range claims {
		_, texts[i] = v.Types.DisplayClaim(v.Lang, doc.DocType, found.Path, found.Value)
		if strings.Contains(texts[i], " · ") || strings.Contains(texts[i], "\n") {
			sep = "\n"
		}
	}
	e.Text = strings.Join(texts, sep)
	if slices.Contains(path, nil) {
		e.Value = values
		return e
	}
	e.Value = values[0]
	var text string
	if json.Unmarshal(claims[0].Value, &text) != nil {
		return e
	}
	picture, mediaType, ok := doctype.ParseDataURL(text)
	if !ok || !strings.HasPrefix(mediaType, "image/") {
		return e
	}
	e.Value = nil
	if el, known := v.elementOf(asked, path); known && el.Portrait && doc.Portrait == nil {
		doc.Portrait, doc.PortraitType = picture, imageType(picture)
	}
	return e
}

// elementOf is the element of the document type that the claim is.
func (v *verification) elementOf(asked *query.Credential, path sdjwt.Path) (doctype.Element, bool) {
	for _, vct := range asked.Types {
		if t, ok := v.Types.ByVCT(vct); ok {
			for _, e := range t.ClaimElements(path) {
				if len(e.Claim) == len(path) {
					return e, true
				}
			}
		}
	}
	return doctype.Element{}, false
}

func (v *verification) elementID(asked *query.Credential, path sdjwt.Path) string {
	e, _ := v.elementOf(asked, path)
	return e.ID
}

func (v *verification) claimLabel(asked *query.Credential, path sdjwt.Path) string {
	vct := ""
	if len(asked.Types) > 0 {
		vct = asked.Types[0]
	}
	return v.Types.ClaimLabel(v.Lang, vct, path)
}

// agree notes what a valid presentation says of transaction data.
func (v *verification) agree(id string, h sdjwt.TransactionHashes) {
	if len(h.Values) == 0 {
		return
	}
	if v.agreed == nil {
		v.agreed = map[string][]sdjwt.TransactionHashes{}
	}
	v.agreed[id] = append(v.agreed[id], h)
}

// agrees takes a device-signed element that has the hash of transaction data.
func (v *verification) agrees(id string, ref mdoc.ElementRef, value []byte) bool {
	if !slices.Contains(v.TransactionElements, ref) {
		return false
	}
	r := cbor.ReadChecked(value, cbor.Limits{})
	hash := r.Bytes()
	if r.Done() != nil {
		return false
	}
	v.agree(id, sdjwt.TransactionHashes{Values: []string{jose.Encode(hash)}})
	return true
}

// transactions says whether the holder agreed to what was to be agreed to.
func (v *verification) transactions() {
	const name, clause = "transaction data", "OpenID4VP 1.0, 8.4"
	r := &v.result.Report
	switch {
	case v.Transactions != nil:
		if err := v.Transactions(v.agreed); err != nil {
			r.Fail(name, clause, err.Error(), "do not act on it; ask the holder again")
			return
		}
		r.Pass(name, clause, "agreed to")
	case len(v.agreed) > 0:
		r.Fail(name, clause, fmt.Sprintf("%d presentations agree to something", len(v.agreed)), "nobody asked for it; do not act on it")
	}
}

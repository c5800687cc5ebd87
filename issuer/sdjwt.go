package issuer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
)

// decoys are so many digests of nothing in each object, so that the number of
// claims that a person has says less. At the top there are as many as all
// documents of the offering have.
const decoys = 2

// vctOf is the type of an offering's SD-JWT VCs.
func (t *tenant) vctOf(o offering.Offering, typ *doctype.Type) string {
	switch o.VCT {
	case "":
		return typ.VCT
	case offering.VCTHere:
		return t.base + "/types/" + o.ID
	}
	return o.VCT
}

// description is what is said of the type of an offering's SD-JWT VCs.
type description struct {
	document  *web.File       // type metadata
	integrity string          // of the document
	claims    []oid4vci.Claim // for the issuer metadata
}

// describe renders the description of a type, once.
// SD-JWT VC draft 18, 4; OpenID4VCI 1.0, B.2.
func (t *tenant) describe(o offering.Offering, typ *doctype.Type) (*description, error) {
	vct := t.vctOf(o, typ)
	key := [2]string{typ.DocType, vct}
	if d, ok := t.described.Load(key); ok {
		return d.(*description), nil
	}
	m, err := typ.TypeMetadata(vct)
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	d := &description{document: web.NewFile("application/json", document), integrity: sdjwt.Integrity(document)}
	for _, c := range m.Claims {
		claim := oid4vci.Claim{Path: c.Path, Mandatory: c.Mandatory != nil && *c.Mandatory}
		for _, l := range c.Display {
			claim.Display = append(claim.Display, oid4vci.Display{Name: l.Label, Locale: l.Locale})
		}
		d.claims = append(d.claims, claim)
	}
	t.described.Store(key, d) // of several at once, any: they are alike
	return d, nil
}

// serveType answers GET /{tenant}/types/{offering} with the type metadata, where
// documents refer to it. SD-JWT VC draft 18, 4.3.1.
func (t *tenant) serveType(w http.ResponseWriter, r *http.Request) error {
	o, ok := t.offerings[r.PathValue("offering")]
	typ, known := t.authority.types.ByDocType(o.DocType)
	if !ok || !known || o.VCT != offering.VCTHere {
		return web.Errorf(http.StatusNotFound, "There is no such type here.")
	}
	d, err := t.describe(o, typ)
	if err != nil {
		return err
	}
	d.document.Serve(w, r, time.Hour)
	return nil
}

// signSDJWT makes the copies of a document as SD-JWT VCs, in the order of the
// keys. The first is looked over before anything is recorded.
func (t *tenant) signSDJWT(ctx context.Context, c *content, r *oid4vci.CredentialRequest, entries []statuslist.Entry, signer keyring.Key) (answer oid4vci.Answer, err error) {
	elements := map[doctype.Name][]byte{}
	for _, ns := range c.nameSpaces {
		for _, e := range ns.Elements {
			elements[doctype.Name{Namespace: ns.Name, ID: e.ID}] = e.Value
		}
	}
	claims, err := c.typ.SDJWTClaims(elements)
	if err != nil {
		return answer, fmt.Errorf("issuer: claims: %w", err)
	}
	_, room, err := c.offering.Room(c.typ)
	if err != nil {
		return answer, fmt.Errorf("issuer: %w", err)
	}
	p := sdjwt.IssueParams{
		VCT: t.vctOf(c.offering, c.typ), Claims: claims, Decoys: decoys, Digests: room + decoys, Chain: signer.Record.Chain,
		IssuedAt: c.validity.Signed, NotBefore: c.validity.ValidFrom, Expires: c.validity.ValidUntil,
	}
	if c.offering.VCT == offering.VCTHere {
		d, err := t.describe(c.offering, c.typ)
		if err != nil {
			return answer, fmt.Errorf("issuer: type metadata: %w", err)
		}
		p.VCTIntegrity = d.integrity
	}
	answer.Credentials = make([]string, len(r.Keys))
	for i, pub := range r.Keys {
		p.HolderKey = pub
		p.Status = &status.Claim{List: &status.ListReference{Index: entries[i].Index, URI: t.board.ListURI(entries[i].List)}}
		if answer.Credentials[i], err = sdjwt.Issue(ctx, p, signer); err != nil {
			return answer, fmt.Errorf("issuer: sign: %w", err)
		}
		if i == 0 {
			if err := fit(answer.Credentials[0]); err != nil {
				return answer, fmt.Errorf("issuer: a document that we made is not fit for release: %w", err)
			}
		}
	}
	return answer, nil
}

// fit reports whether an SD-JWT VC can be read, and its disclosures fit.
func fit(credential string) error {
	s, err := sdjwt.Parse(credential, sdjwt.Limits{})
	if err == nil {
		_, err = s.Unverified()
	}
	return err
}

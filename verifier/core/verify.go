package core

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/statuslist"
)

// VerifyParams is what a verifier knows. Asked, Anchors and Now are required, and
// what the formats that were asked for are bound to.
type VerifyParams struct {
	Asked   query.Query
	Anchors *assure.Anchors
	Now     time.Time

	// Transcript is the SessionTranscript that the verifier built itself.
	// Without it no mdoc is valid: the answer might be anyone's.
	Transcript []byte
	// Audience and Nonce are those of the request, for the same with SD-JWT VCs.
	Audience, Nonce string
	// Transactions judges what the holder agreed to, where there was something to
	// agree to: the hashes in the valid presentations by credential id. Without
	// it nobody asked, and hashes are a failure. TransactionElements are the
	// elements in which an mdoc signs a hash, a byte string; they count as asked.
	//
	// OpenID4VP 1.0, 8.4, B.2.1 and B.3.3.1.
	Transactions        func(found map[string][]sdjwt.TransactionHashes) error
	TransactionElements []mdoc.ElementRef

	// EReaderKey is the reader's ephemeral key, for a device MAC on-site; nil
	// over the internet.
	EReaderKey key.Agreer

	// Status asks for the status of documents; nil leaves it "not checked".
	Status assure.StatusChecker
	CRLs   []*pki.CRL

	// Types names elements for people, in the language Lang. Optional: those
	// built in, in English.
	Types *doctype.Catalogue
	Lang  string

	// Strict, RequireStatus and Policy are as in assure.DocumentParams.
	Strict, RequireStatus bool
	Policy                assure.Policy
}

const (
	clauseResponse = "ISO/IEC 18013-5:2021, 8.3.2.1.2.2"
	clauseAsked    = "ISO/IEC 18013-5:2021, 8.3.2.1.2.1"
	clauseMatch    = "OpenID4VP 1.0, 8.6"
)

// Verify verifies a DeviceResponse. The error is for bytes that are no
// DeviceResponse; everything else is in the result: what was asked and did not
// come is reported missing, what was not asked is dropped.
//
// ISO/IEC 18013-5:2021, 9.3; second edition (draft v4), 12.8.
func Verify(ctx context.Context, response []byte, p VerifyParams) (Result, error) {
	resp, err := mdoc.ParseDeviceResponse(response)
	if err != nil {
		return Result{}, err
	}
	v := newVerification(p)
	v.response(resp)
	for i := range resp.Documents {
		v.document(ctx, &resp.Documents[i], v.credentialOf(resp.Documents[i].DocType))
	}
	return v.conclude(), nil
}

// VerifyPresentations verifies the answer to a DCQL query: presentations by the
// id of the credential that they answer, as in a vp_token. An mdoc's is the
// base64url of a DeviceResponse with one document, an SD-JWT VC's is the compact
// form. The error is for what is neither; everything else is in the result, as
// with Verify.
//
// OpenID4VP 1.0, 8.6, B.2 and B.3.
func VerifyPresentations(ctx context.Context, presentations map[string][]string, p VerifyParams) (Result, error) {
	v := newVerification(p)
	for _, id := range slices.Sorted(maps.Keys(presentations)) {
		for _, text := range presentations[id] {
			if err := v.presentation(ctx, id, text); err != nil {
				return Result{}, fmt.Errorf("presentation for %.40q: %w", id, err)
			}
		}
	}
	v.transactions()
	return v.conclude(), nil
}

func (v *verification) presentation(ctx context.Context, id, text string) error {
	index := slices.IndexFunc(v.Asked.Credentials, func(c query.Credential) bool { return c.ID == id })
	if index < 0 {
		v.drop("a presentation for an id that the query does not have")
		return nil
	}
	if v.Asked.Credentials[index].Format == query.FormatSDJWT {
		s, err := sdjwt.Parse(text, sdjwt.Limits{})
		if err != nil {
			return err
		}
		v.credential(ctx, s, index)
		return nil
	}
	raw, err := jose.Decode(text)
	if err != nil {
		return fmt.Errorf("not base64url (OpenID4VP 1.0, B.2): %w", err)
	}
	resp, err := mdoc.ParseDeviceResponse(raw)
	if err != nil {
		return err
	}
	if len(resp.Documents) != 1 {
		return fmt.Errorf("%d documents, wanted one (OpenID4VP 1.0, B.2)", len(resp.Documents))
	}
	v.response(resp)
	v.document(ctx, &resp.Documents[0], index)
	return nil
}

// verification collects the result of one answer.
type verification struct {
	VerifyParams
	result Result
	// answered are the documents in result.Documents by credential, and which
	// of its claims each answers.
	answered [][]answered
	errors   []mdoc.DocumentError
	agreed   map[string][]sdjwt.TransactionHashes // by id of the credential
}

type answered struct {
	document int
	claims   []bool // by index into the credential's claims
	other    []bool // the same: it came, with another value than was asked for
	errors   []mdoc.ElementError
}

func newVerification(p VerifyParams) *verification {
	if p.Types == nil {
		p.Types = doctype.Builtin()
	}
	p.Lang = cmp.Or(p.Lang, "en")
	return &verification{
		VerifyParams: p, answered: make([][]answered, len(p.Asked.Credentials)),
		result: Result{VerifiedAt: p.Now.UTC().Truncate(time.Second), Documents: []Document{}},
	}
}

// response looks at the frame of the documents.
func (v *verification) response(resp *mdoc.DeviceResponse) {
	const name = "response status"
	if resp.Status == mdoc.StatusOK {
		v.result.Report.Pass(name, clauseResponse, "0")
	} else {
		v.result.Report.Fail(name, clauseResponse, fmt.Sprint(resp.Status), "the holder's app could not answer; ask again")
	}
	v.errors = append(v.errors, resp.Errors...)
	if resp.ZKDocuments != nil || resp.EncryptedDocuments != nil {
		v.result.Report.Warn("other documents", clauseResponse, "zero-knowledge or encrypted documents", "nobody asked for these; they were dropped")
	}
}

// drop notes what came and nobody asked for.
func (v *verification) drop(what string) {
	v.result.Report.Warn("only what was asked", clauseAsked, what, "nobody asked for it; it was dropped unread")
}

// room reports whether the query has a place for a document of the type at the
// index, -1 if it has none at all.
func (v *verification) room(index int, docType string) bool {
	switch {
	case index < 0:
		v.drop(fmt.Sprintf("a document of type %.80q", docType))
	case len(v.answered[index]) > 0 && !v.Asked.Credentials[index].Multiple:
		v.drop(fmt.Sprintf("a second document of type %.80q where one was asked for", docType))
	default:
		return true
	}
	return false
}

// document verifies an mdoc that answers the credential at the index.
func (v *verification) document(ctx context.Context, d *mdoc.Document, index int) {
	if !v.room(index, d.DocType) {
		return
	}
	asked := &v.Asked.Credentials[index]
	found, report := assure.VerifyDocument(ctx, d, v.params(asked, d.DocType))
	doc := v.describe(asked, d.DocType, &found.Signer, found.Issuer.Name, found.Issuer.Country)
	doc.Validity = Validity{Signed: found.Validity.Signed, From: found.Validity.ValidFrom, Until: found.Validity.ValidUntil}
	doc.Status = statusOf(&found.Revocation, found.IssuerVerified && found.Status == nil)
	if found.DeviceVerified {
		doc.Device = found.DeviceAuth
	}
	a := v.answer(asked)
	a.errors = d.Errors
	if report.OK() {
		authorities(asked, &found.Signer, &report)
	}
	if report.OK() {
		v.take(&doc, d, asked, &found, &a, &report)
	}
	v.add(index, doc, a, report)
}

// params are those for a document of the type, said to answer the credential.
func (v *verification) params(asked *query.Credential, docType string) assure.DocumentParams {
	if len(asked.Types) > 0 && !slices.Contains(asked.Types, docType) {
		docType = asked.Types[0]
	}
	return assure.DocumentParams{
		Now: v.Now, Anchors: v.Anchors, DocType: docType, Transcript: v.Transcript, EReaderKey: v.EReaderKey,
		RequireDeviceAuth: true, Strict: v.Strict, CRLs: v.CRLs, Status: v.Status, RequireStatus: v.RequireStatus, Policy: v.Policy,
	}
}

// answer is the next one to the credential, so far without claims.
func (v *verification) answer(asked *query.Credential) answered {
	return answered{document: len(v.result.Documents), claims: make([]bool, len(asked.Claims)), other: make([]bool, len(asked.Claims))}
}

// add takes a document into the result.
func (v *verification) add(index int, doc Document, a answered, report check.Report) {
	doc.Report = report
	doc.Verdict = Valid
	if bad := report.Failed(); len(bad) > 0 {
		doc.Verdict, doc.Reason = Invalid, sentence(bad[0])
	}
	v.answered[index] = append(v.answered[index], a)
	v.result.Documents = append(v.result.Documents, doc)
}

// credentialOf finds the credential of the query that an mdoc answers: the first
// of its type that has no answer yet. -1 if there is none.
func (v *verification) credentialOf(docType string) int {
	match := -1
	for i := range v.Asked.Credentials {
		c := &v.Asked.Credentials[i]
		if c.Format != query.FormatMdoc || len(c.Types) > 0 && !slices.Contains(c.Types, docType) {
			continue
		}
		if len(v.answered[i]) == 0 {
			return i
		}
		if match < 0 || c.Multiple {
			match = i
		}
	}
	return match
}

// describe is what may be said of a document whatever came of it. The signer is
// zero unless its chain was in order.
func (v *verification) describe(asked *query.Credential, docType string, signer *assure.Signer, issuer, country string) Document {
	doc := Document{Credential: asked.ID, Format: asked.Format, DocType: docType, Name: v.Types.TypeName(v.Lang, docType)}
	if signer.Anchor.Certificate != nil {
		doc.Issuer = Issuer{
			Name: cmp.Or(issuer, signer.Anchor.Name), Country: cmp.Or(country, signer.Anchor.Country), Origin: signer.Anchor.Origin,
		}
	}
	return doc
}

// statusOf is what was found out; none says that the document refers to no list.
func statusOf(found *statuslist.Verdict, none bool) Status {
	s := Status{Outcome: string(found.Outcome), Stale: found.Stale}
	switch found.Outcome {
	case "":
		s.Text = "status not checked"
		if none {
			s.Text = "the document refers to no status list"
		}
	case statuslist.Unknown:
		s.Text = "no usable status list"
	default:
		issued := found.Issued.UTC()
		s.Issued, s.AgeSeconds = &issued, int64(found.Age/time.Second)
		s.Text = "status list " + Age(found.Age) + " old"
		if s.Stale {
			s.Text += ", a newer one could not be had"
		}
	}
	return s
}

// take shows the elements that were asked for and drops the others.
func (v *verification) take(doc *Document, d *mdoc.Document, asked *query.Credential, found *assure.Document, a *answered, report *check.Report) {
	var dropped []string
	claims := query.MdocClaims{Document: &d.IssuerSigned}
	for _, ns := range found.NameSpaces {
		for _, e := range ns.Elements {
			el, ok := v.element(d.DocType, asked, ns.Name, e.ID, e.Value, a)
			if !ok {
				dropped = append(dropped, ns.Name+"/"+e.ID)
				continue
			}
			v.value(doc, &el, d.DocType, e.Value, claims)
			doc.Elements = append(doc.Elements, el)
		}
	}
	for _, ns := range found.DeviceSigned {
		for _, e := range ns.Elements {
			if v.agrees(asked.ID, mdoc.ElementRef{NameSpace: ns.Name, ID: e.ID}, e.Value) {
				continue
			}
			el, ok := v.element(d.DocType, asked, ns.Name, e.ID, e.Value, a)
			if !ok {
				dropped = append(dropped, ns.Name+"/"+e.ID)
				continue
			}
			el.DeviceSigned = true
			doc.Elements = append(doc.Elements, el)
		}
	}
	v.ages(doc, asked, report)
	onlyAsked(dropped, clauseAsked, report)
}

// onlyAsked says what was dropped.
func onlyAsked(dropped []string, clause string, report *check.Report) {
	if len(dropped) > 0 {
		report.Warn("only what was asked", clause, fmt.Sprintf("%d elements more: %.300s", len(dropped), printable(strings.Join(dropped, ", "))),
			"nobody asked for these; they were dropped")
	} else {
		report.Pass("only what was asked", clause, "nothing else was returned")
	}
}

// element is one returned element for people, if it answers a claim.
func (v *verification) element(docType string, asked *query.Credential, ns, id string, value []byte, a *answered) (Element, bool) {
	path := query.Element(ns, id)
	label, text := v.Types.Display(v.Lang, docType, ns, id, value)
	e := Element{NameSpace: ns, ID: id, Label: label, Text: text}
	hit := false
	for i := range asked.Claims {
		c := &asked.Claims[i]
		switch {
		case c.Path.Equal(path):
			e.Asked = ""
			if !c.Accepts(query.CBORValues(value)) {
				a.other[i] = true
				continue
			}
		case answersAge(c.Path, ns, id, value):
			if !c.Accepts(query.CBORValues(value)) { // the asked one has the same value
				a.other[i] = true
				continue
			}
			if !hit {
				e.Asked, _ = c.Path[1].(string)
			}
		case slices.ContainsFunc(c.Alternatives, func(set []query.Path) bool {
			return slices.ContainsFunc(set, func(p query.Path) bool { return p.Equal(path) })
		}):
		default:
			continue
		}
		hit = true
		a.claims[i] = true
		e.Retain = e.Retain || c.Retain
	}
	return e, hit
}

// value adds what a relying party's systems read, or the portrait.
func (v *verification) value(doc *Document, e *Element, docType string, raw []byte, claims query.MdocClaims) {
	t, ok := v.Types.ByDocType(docType)
	if ok {
		if def, ok := t.Element(e.NameSpace, e.ID); ok {
			if decoded, err := def.Decode(raw); err == nil {
				if image, is := decoded.([]byte); is && (def.Kind == doctype.JPEG || def.Kind == doctype.Image) {
					if def.Portrait && doc.Portrait == nil {
						doc.Portrait, doc.PortraitType = slices.Clone(image), imageType(image)
					}
					return
				}
			}
		}
	}
	if values := claims.Values(query.Element(e.NameSpace, e.ID)); len(values) == 1 {
		e.Value = values[0]
	}
}

func imageType(b []byte) string {
	switch {
	case len(b) > 3 && b[0] == 0xff && b[1] == 0xd8:
		return "image/jpeg"
	case len(b) > 8 && string(b[4:8]) == "jP  ":
		return "image/jp2"
	}
	return "application/octet-stream"
}

// answersAge reports whether age_over_NN answers a claim for another age:
// "over 21: yes" says that over 18 is true, "over 16: no" that it is false.
//
// ISO/IEC 18013-5:2021, 7.2.5.
func answersAge(asked query.Path, ns, id string, value []byte) bool {
	if len(asked) != 2 || asked[0] != ns || len(value) != 1 {
		return false
	}
	name, _ := asked[1].(string)
	want, ok := doctype.AgeOver(name)
	have, ok2 := doctype.AgeOver(id)
	if !ok || !ok2 {
		return false
	}
	switch value[0] {
	case 0xf5: // true
		return have >= want
	case 0xf4: // false
		return have <= want
	}
	return false
}

package core

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/statuslist"
)

// VerifyParams is what a verifier knows. Asked, Anchors, Now and Transcript
// are required.
type VerifyParams struct {
	Asked   query.Query
	Anchors *assure.Anchors
	Now     time.Time

	// Transcript is the SessionTranscript that the verifier built itself.
	// Without it nothing is valid: the answer might be anyone's.
	Transcript []byte
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

	// Strict and RequireStatus are as in assure.DocumentParams.
	Strict, RequireStatus bool
}

const (
	clauseResponse = "ISO/IEC 18013-5:2021, 8.3.2.1.2.2"
	clauseAsked    = "ISO/IEC 18013-5:2021, 8.3.2.1.2.1"
	clauseVPToken  = "OpenID4VP 1.0, 8.1 and B.2"
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
		v.document(ctx, &resp.Documents[i], "")
	}
	return v.conclude(), nil
}

// VerifyPresentations verifies the answer to a DCQL query: DeviceResponses by
// the id of the credential that they answer, each with one document. The error
// is as Verify's.
//
// OpenID4VP 1.0, 8.6 and B.2.
func VerifyPresentations(ctx context.Context, responses map[string][][]byte, p VerifyParams) (Result, error) {
	v := newVerification(p)
	ids := make([]string, 0, len(responses))
	for id := range responses {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		for _, response := range responses[id] {
			resp, err := mdoc.ParseDeviceResponse(response)
			if err != nil {
				return Result{}, fmt.Errorf("presentation for %.40q: %w", id, err)
			}
			if len(resp.Documents) != 1 {
				return Result{}, fmt.Errorf("presentation for %.40q: %d documents, wanted one (OpenID4VP 1.0, B.2)", id, len(resp.Documents))
			}
			v.response(resp)
			v.document(ctx, &resp.Documents[0], id)
		}
	}
	return v.conclude(), nil
}

// verification collects the result of one answer.
type verification struct {
	VerifyParams
	result Result
	// answered are the documents in result.Documents by credential, and which
	// of its claims each answers.
	answered [][]answered
	errors   []mdoc.DocumentError
}

type answered struct {
	document int
	claims   []bool // by index into the credential's claims
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

// document verifies one document, if it was asked for. id is the credential
// that it is said to answer, empty if its type tells.
func (v *verification) document(ctx context.Context, d *mdoc.Document, id string) {
	index := v.credentialOf(d.DocType, id)
	if index < 0 {
		v.result.Report.Warn("only what was asked", clauseAsked, fmt.Sprintf("a document of type %.80q", d.DocType),
			"nobody asked for it; it was dropped unread")
		return
	}
	asked := &v.Asked.Credentials[index]
	if n := len(v.answered[index]); n > 0 && !asked.Multiple {
		v.result.Report.Warn("only what was asked", clauseAsked, fmt.Sprintf("a second document of type %.80q", d.DocType),
			"one was asked for; the further one was dropped unread")
		return
	}
	wanted := d.DocType
	if len(asked.Types) > 0 {
		wanted = asked.Types[0]
		if slices.Contains(asked.Types, d.DocType) {
			wanted = d.DocType
		}
	}
	found, report := assure.VerifyDocument(ctx, d, assure.DocumentParams{
		Now: v.Now, Anchors: v.Anchors, DocType: wanted, Transcript: v.Transcript, EReaderKey: v.EReaderKey,
		RequireDeviceAuth: true, Strict: v.Strict, CRLs: v.CRLs, Status: v.Status, RequireStatus: v.RequireStatus,
	})
	doc := v.describe(d, asked, &found)
	a := answered{document: len(v.result.Documents), claims: make([]bool, len(asked.Claims)), errors: d.Errors}
	if report.OK() {
		v.take(&doc, d, asked, &found, &a, &report)
	}
	doc.Report = report
	doc.Verdict = Valid
	if bad := report.Failed(); len(bad) > 0 {
		doc.Verdict, doc.Reason = Invalid, sentence(bad[0])
	}
	v.answered[index] = append(v.answered[index], a)
	v.result.Documents = append(v.result.Documents, doc)
}

// credentialOf finds the credential of the query that a document answers: by
// id, or the first of its type that has no answer yet. -1 if there is none.
func (v *verification) credentialOf(docType, id string) int {
	match := -1
	for i := range v.Asked.Credentials {
		c := &v.Asked.Credentials[i]
		switch {
		case id != "":
			if c.ID == id {
				return i
			}
		case len(c.Types) == 0 || slices.Contains(c.Types, docType):
			if len(v.answered[i]) == 0 {
				return i
			}
			if match < 0 || c.Multiple {
				match = i
			}
		}
	}
	return match
}

// describe is what may be said of a document whatever came of it.
func (v *verification) describe(d *mdoc.Document, asked *query.Credential, found *assure.Document) Document {
	doc := Document{
		Credential: asked.ID, DocType: d.DocType, Name: v.typeName(d.DocType),
		Validity: Validity{Signed: found.Validity.Signed, From: found.Validity.ValidFrom, Until: found.Validity.ValidUntil},
		Status:   statusOf(found),
	}
	if found.DeviceVerified {
		doc.Device = found.DeviceAuth
	}
	if found.IssuerVerified {
		doc.Issuer = Issuer{
			Name: cmp.Or(found.Issuer.Name, found.Signer.Anchor.Name), Country: cmp.Or(found.Issuer.Country, found.Signer.Anchor.Country),
			Origin: found.Signer.Anchor.Origin,
		}
	}
	return doc
}

func (v *verification) typeName(docType string) string {
	if t, ok := v.Types.ByDocType(docType); ok {
		return t.Names.In(v.Lang)
	}
	return docType
}

func statusOf(found *assure.Document) Status {
	s := Status{Outcome: string(found.Revocation.Outcome), Stale: found.Revocation.Stale}
	switch found.Revocation.Outcome {
	case "":
		s.Text = "status not checked"
		if found.IssuerVerified && found.Status == nil {
			s.Text = "the document refers to no status list"
		}
	case statuslist.Unknown:
		s.Text = "no usable status list"
	default:
		issued := found.Revocation.Issued.UTC()
		s.Issued, s.AgeSeconds = &issued, int64(found.Revocation.Age/time.Second)
		s.Text = "status list " + Age(found.Revocation.Age) + " old"
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
			el, ok := v.element(d.DocType, asked, ns.Name, e.ID, e.Value, a)
			if !ok {
				dropped = append(dropped, ns.Name+"/"+e.ID)
				continue
			}
			el.DeviceSigned = true
			doc.Elements = append(doc.Elements, el)
		}
	}
	if len(dropped) > 0 {
		report.Warn("only what was asked", clauseAsked, fmt.Sprintf("%d elements more: %.300s", len(dropped), printable(strings.Join(dropped, ", "))),
			"nobody asked for these; they were dropped")
	} else {
		report.Pass("only what was asked", clauseAsked, "nothing else was returned")
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
		case answersAge(c.Path, ns, id, value):
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
	want, ok := ageOver(asked[1])
	have, ok2 := ageOver(id)
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

func ageOver(id any) (int, bool) {
	s, _ := id.(string)
	nn, ok := strings.CutPrefix(s, "age_over_")
	if !ok || len(nn) != 2 || nn[0] < '0' || nn[0] > '9' || nn[1] < '0' || nn[1] > '9' {
		return 0, false
	}
	return int(nn[0]-'0')*10 + int(nn[1]-'0'), true
}

package oid4vp

import (
	"encoding/json"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
)

// ISO/IEC TS 18013-7, Annex B is a profile of OpenID4VP as it was in April 2023
// (draft 18): requests are signed and by reference, as today, but what is asked
// is a presentation definition, the client identifier has its scheme in a
// parameter of its own, one DeviceResponse answers everything, and the
// transcript is another. Nothing here is shared with version 1.0 but how
// messages are signed and encrypted.

// AnnexBScheme is the link scheme of Annex B. ISO/IEC TS 18013-7 (draft N2544),
// B.3.2.3.3.
const AnnexBScheme = "mdoc-openid4vp"

// The client identifier schemes. OpenID4VP draft 18, 5.7.
const (
	schemeSANDNS = "x509_san_dns"
	schemeSANURI = "x509_san_uri"
)

// annexBObject are the claims of a request object.
// ISO/IEC TS 18013-7 (draft N2544), B.4.2.3.2.
type annexBObject struct {
	Audience       audience        `json:"aud,omitempty"`
	ResponseType   string          `json:"response_type"`
	Definition     json.RawMessage `json:"presentation_definition,omitempty"`
	DCQL           json.RawMessage `json:"dcql_query,omitempty"` // of version 1.0
	ClientMetadata json.RawMessage `json:"client_metadata,omitempty"`
	State          string          `json:"state,omitempty"`
	Nonce          string          `json:"nonce"`
	ClientID       string          `json:"client_id"`
	ClientIDScheme string          `json:"client_id_scheme"`
	ResponseMode   string          `json:"response_mode"`
	ResponseURI    string          `json:"response_uri"`
	RedirectURI    string          `json:"redirect_uri,omitempty"`
	jose.Times
}

// annexBMetadata is client_metadata. B.3.3.1 and B.4.2.3.5.
type annexBMetadata struct {
	JWKS          *jose.Set                  `json:"jwks,omitempty"`
	Alg           string                     `json:"authorization_encrypted_response_alg,omitempty"`
	Enc           string                     `json:"authorization_encrypted_response_enc,omitempty"`
	Formats       map[string]json.RawMessage `json:"vp_formats,omitempty"`
	RequireSigned bool                       `json:"require_signed_request_object,omitempty"`
}

// annexBResponse is what is encrypted for the verifier. B.4.3.2.
type annexBResponse struct {
	VPToken          string      `json:"vp_token,omitempty"`
	Submission       *submission `json:"presentation_submission,omitempty"`
	State            string      `json:"state,omitempty"`
	Error            string      `json:"error,omitempty"`
	ErrorDescription string      `json:"error_description,omitempty"`
}

// submission says which part of an answer is for which part of the question.
// B.4.3.3.
type submission struct {
	ID           string       `json:"id"`
	DefinitionID string       `json:"definition_id"`
	Map          []descriptor `json:"descriptor_map"`
}

type descriptor struct {
	ID     string `json:"id"`
	Format string `json:"format"`
	Path   string `json:"path"`
}

// definition is what is asked, as far as Annex B knows presentation
// definitions. Members that it does not know are ignored; none of them could
// make an answer hold more. B.4.2.3.3.
type definition struct {
	ID          string            `json:"id"`
	Descriptors []inputDescriptor `json:"input_descriptors"`
}

type inputDescriptor struct {
	ID          string                     `json:"id"` // the docType
	Format      map[string]json.RawMessage `json:"format,omitempty"`
	Constraints struct {
		LimitDisclosure string  `json:"limit_disclosure"`
		Fields          []field `json:"fields"`
	} `json:"constraints"`
}

type field struct {
	Path           []string `json:"path"`
	IntentToRetain bool     `json:"intent_to_retain"`
}

const (
	maxDescriptors = 32
	maxFields      = 1024 // of all descriptors together
	maxName        = 256  // of a docType, name space or element, in bytes
)

// annexBFormat are the algorithms of Table B.8 that we verify.
const annexBFormat = `{"alg":["ES256","ES384","ES512","EdDSA"]}`

func parseDefinition(raw json.RawMessage) (definition, error) {
	var d definition
	if err := jose.Unmarshal(raw, &d, jose.Limits{Token: 256 << 10}); err != nil {
		return d, fail(InvalidRequest, "presentation_definition: %w", err)
	}
	if d.ID == "" || len(d.Descriptors) == 0 || len(d.Descriptors) > maxDescriptors {
		return d, fail(InvalidRequest, "presentation_definition without id, or with %d input descriptors, from 1 to %d (ISO/IEC TS 18013-7, B.4.2.3.3)", len(d.Descriptors), maxDescriptors)
	}
	return d, nil
}

// docType of an input descriptor. The standard's own example has a space behind
// it.
func (i *inputDescriptor) docType() string { return strings.TrimSpace(i.ID) }

// documents is the question as a DeviceRequest has it: Annex B says the same
// in other words.
func (d *definition) documents() ([]mdoc.DocRequest, error) {
	var out []mdoc.DocRequest
	seen, fields := map[string]bool{}, 0
	for i := range d.Descriptors {
		in := &d.Descriptors[i]
		doc := mdoc.DocRequest{DocType: in.docType()}
		if doc.DocType == "" || len(doc.DocType) > maxName || seen[doc.DocType] {
			return nil, fail(InvalidRequest, "input descriptor %d: its id is no document type, or that of another one (ISO/IEC TS 18013-7, B.4.2.3.3)", i)
		}
		seen[doc.DocType] = true
		if _, ok := in.Format[query.FormatMdoc]; in.Format != nil && !ok {
			return nil, fail(FormatsNotSupported, "input descriptor %d: format is not mso_mdoc (ISO/IEC TS 18013-7, B.4.2.3.3)", i)
		}
		if fields += len(in.Constraints.Fields); len(in.Constraints.Fields) == 0 || fields > maxFields {
			return nil, fail(InvalidRequest, "input descriptor %d: no fields, or more than %d of all (ISO/IEC TS 18013-7, B.4.2.3.3)", i, maxFields)
		}
		asked := map[mdoc.ElementRef]bool{}
		for _, f := range in.Constraints.Fields {
			ref, ok := f.element()
			if !ok || asked[ref] {
				return nil, fail(InvalidRequest, "input descriptor %d: a path is not one of $['namespace']['element'], or comes twice (ISO/IEC TS 18013-7, B.4.2.3.3)", i)
			}
			asked[ref] = true
			doc.Add(ref, f.IntentToRetain)
		}
		out = append(out, doc)
	}
	return out, nil
}

// element reads $['namespace']['element'], in quotes of either kind.
func (f *field) element() (mdoc.ElementRef, bool) {
	if len(f.Path) != 1 {
		return mdoc.ElementRef{}, false
	}
	for _, quote := range []string{"'", `"`} {
		inner, ok1 := strings.CutPrefix(f.Path[0], "$["+quote)
		inner, ok2 := strings.CutSuffix(inner, quote+"]")
		if !ok1 || !ok2 {
			continue
		}
		ns, id, ok := strings.Cut(inner, quote+"]["+quote)
		if !ok || ns == "" || id == "" || len(ns) > maxName || len(id) > maxName || strings.ContainsAny(inner[:len(ns)]+id, `'"\[]`) {
			return mdoc.ElementRef{}, false
		}
		return mdoc.ElementRef{NameSpace: ns, ID: id}, true
	}
	return mdoc.ElementRef{}, false
}

// newDefinition writes a query as a presentation definition: mdocs of different
// types, without choices.
func newDefinition(q query.Query) (*definition, error) {
	docs, info, err := q.DeviceRequest()
	if err != nil {
		return nil, err
	}
	if info != nil {
		return nil, fail(InvalidRequest, "a presentation definition has no alternatives (ISO/IEC TS 18013-7, B.4.2.3.3)")
	}
	d := &definition{ID: random()}
	for _, doc := range docs {
		if doc.Info != nil {
			return nil, fail(InvalidRequest, "a presentation definition asks for elements and nothing else (ISO/IEC TS 18013-7, B.4.2.3.3)")
		}
		in := inputDescriptor{ID: doc.DocType, Format: map[string]json.RawMessage{query.FormatMdoc: json.RawMessage(annexBFormat)}}
		in.Constraints.LimitDisclosure = "required"
		for _, ns := range doc.NameSpaces {
			for _, e := range ns.Elements {
				in.Constraints.Fields = append(in.Constraints.Fields, field{Path: []string{"$['" + ns.Name + "']['" + e.ID + "']"}, IntentToRetain: e.IntentToRetain})
			}
		}
		d.Descriptors = append(d.Descriptors, in)
	}
	// What our own parser refuses must not leave.
	_, err = d.documents()
	return d, err
}

package wallet

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/transaction"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
)

// What a holder authorises by sharing, such as a payment: which types the app
// knows, which documents can authorise them, and how they say so.

// authorisation is an entry of transaction data that somebody asks for.
type authorisation struct {
	entry   oid4vp.TransactionData
	kind    transaction.Type // of the app's own types; else the zero value
	summary transaction.Summary
}

// transactionTypes are the types that the app knows: its own, those that it was
// given, and other names that issuers of its documents have for its own.
//
// EUDI TS12 1.0.1, 3.2 and 4.3.
func (w *Wallet) transactionTypes(ctx context.Context) ([]oid4vp.TransactionType, error) {
	types := slices.Clone(w.deps.Transactions)
	add := func(name string, t transaction.Type) {
		if !slices.ContainsFunc(types, func(k oid4vp.TransactionType) bool { return k.Type == name }) {
			types = append(types, oid4vp.TransactionType{Type: name, Read: func(object json.RawMessage) ([]string, error) {
				s, err := t.Read(object, w.now())
				return s.Lines, err
			}})
		}
	}
	for _, t := range transaction.Types() {
		add(t.ID, t)
	}
	var held []Document
	err := w.deps.Storage.View(ctx, func(t Txn) (err error) {
		held, err = documents(ctx, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the documents: %w", err)
	}
	for _, d := range held {
		for name, schema := range d.Authorises {
			if t, ok := transaction.Find(schema); ok {
				add(name, t)
			}
		}
	}
	return types, nil
}

// authorise notes what is to be authorised, for the question and the log. That
// no document can do it ends the matter before anybody is asked.
//
// EUDI TS12 1.0.1, 3.2.
func (m *matter) authorise(req *oid4vp.Request) error {
	for _, entry := range req.Transactions {
		a := authorisation{entry: entry}
		able := false
		for i, c := range req.Query.Credentials {
			for _, candidate := range m.plan.Credentials[i] {
				h := &m.held[candidate.Held]
				if !slices.Contains(entry.CredentialIDs, c.ID) || !m.w.mayAuthorise(h, entry) {
					continue
				}
				able = true
				if schema, ok := m.w.listed(h.document, entry.Type); ok {
					a.kind, _ = transaction.Find(schema)
				}
			}
		}
		if a.kind.ID == "" && !m.w.given(entry.Type) {
			a.kind, _ = transaction.Find(entry.Type)
		}
		if a.kind.ID != "" {
			var err error
			if a.summary, err = a.kind.Read(entry.JSON, m.w.now()); err != nil {
				return &oid4vp.Error{Code: oid4vp.InvalidTransactionData, Err: err}
			}
		}
		for _, line := range entry.Lines {
			m.authorises = append(m.authorises, oneLine(line, maxText))
		}
		m.authorisations = append(m.authorisations, a)
		m.entry.Authorised = append(m.entry.Authorised, Authorised{Type: oneLine(entry.Type, 256), Record: a.summary.Record})
		if !able {
			return fmt.Errorf("%w: no document that was asked for and is here may authorise it (OpenID4VP 1.0, 8.5)", ErrNothing)
		}
	}
	return nil
}

// given reports whether whoever embeds the app brought a type along.
func (w *Wallet) given(name string) bool {
	return slices.ContainsFunc(w.deps.Transactions, func(k oid4vp.TransactionType) bool { return k.Type == name })
}

// authorisedTypes are the types of what is authorised, each once.
func (m *matter) authorisedTypes() []string {
	var out []string
	for _, a := range m.authorisations {
		if !slices.Contains(out, a.entry.Type) {
			out = append(out, a.entry.Type)
		}
	}
	return out
}

// listed is what the payload of a type of transaction data looks like, where the
// type of the document says that it can authorise it: by its definition, or else
// by what its issuer publishes.
func (w *Wallet) listed(d Document, name string) (schema string, ok bool) {
	if t, known := w.deps.Types.ByVCT(d.DocType); known && slices.Contains(t.Authorises, name) {
		return name, true
	}
	schema, ok = d.Authorises[name]
	return schema, ok
}

// mayAuthorise reports whether a document may authorise an entry. A PID never
// may (PID rulebook 1.7, 5); strong customer authentication is for documents
// whose type lists it (EUDI TS12 1.0.1, 3.2); of an mdoc the issuer says what its
// key may sign (OpenID4VP 1.0, B.2.1).
func (w *Wallet) mayAuthorise(h *holding, entry oid4vp.TransactionData) bool {
	t, known := w.deps.Types.ByVCT(h.document.DocType)
	if signed, ok := h.signed.(*receivedMdoc); ok {
		if t, known = w.deps.Types.ByDocType(h.document.DocType); known && t.NeverAuthorises || entry.Element == nil {
			return false
		}
		return signed.Auth.MSO.KeyAuthorizations.Authorizes(*entry.Element)
	}
	if known && t.NeverAuthorises {
		return false
	}
	kind, own := transaction.Find(entry.Type)
	if _, ok := w.listed(h.document, entry.Type); ok || w.given(entry.Type) {
		return true
	}
	return own && !kind.SCA
}

// bound is what a document authorises: hashes, and what else its key binding JWT
// says.
type bound struct {
	hashes sdjwt.TransactionHashes
	claims map[string]any
}

// bindings says which of the chosen documents authorises what, by the id of the
// credential.
//
// OpenID4VP 1.0, 8.4 and B.3.3.
func (m *matter) bindings(req *oid4vp.Request, s query.Selection) (map[string]bound, error) {
	var shown []string
	first := make(map[string]*holding) // of several documents for one id, the one that authorises
	for _, c := range s {
		id := req.Query.Credentials[c.Credential].ID
		if shown = append(shown, id); first[id] == nil {
			first[id] = &m.held[c.Held]
		}
	}
	list := make([]oid4vp.TransactionData, len(m.authorisations))
	for i, a := range m.authorisations {
		list[i] = a.entry
		list[i].CredentialIDs = slices.DeleteFunc(slices.Clone(a.entry.CredentialIDs), func(id string) bool {
			return first[id] != nil && !m.w.mayAuthorise(first[id], a.entry)
		})
	}
	hashes, err := oid4vp.BindTransactions(list, shown)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bound)
	for id, h := range hashes {
		b := bound{hashes: h}
		if _, isMdoc := first[id].signed.(*receivedMdoc); !isMdoc {
			if b.claims, err = m.bindingClaims(req, h); err != nil {
				return nil, err
			}
		}
		out[id] = b
	}
	return out, nil
}

// bindingClaims are what types of transaction data want in a key binding JWT.
//
// EUDI TS12 1.0.1, 3.6; CSC Data Model Bindings 1.0.0, 7.2.1.
func (m *matter) bindingClaims(req *oid4vp.Request, h sdjwt.TransactionHashes) (map[string]any, error) {
	claims := map[string]any{}
	for _, a := range m.authorisations {
		sum, err := a.entry.Hash(h.AlgorithmName())
		if err != nil || !slices.Contains(h.Values, base64.RawURLEncoding.EncodeToString(sum)) {
			continue // another document authorises it
		}
		if a.kind.SCA {
			claims["jti"], claims["response_mode"], claims["amr"] = rand.Text(), req.Mode, methods(m.factors)
		}
		if a.summary.ApprovalHash == "" {
			continue
		}
		if claims[approvalClaim] != nil {
			return nil, &oid4vp.Error{Code: oid4vp.InvalidTransactionData, Err: errors.New("one document cannot approve two requests for signatures (CSC Data Model Bindings 1.0.0, 7.2.1)")}
		}
		approval, err := a.entry.Hash(a.summary.ApprovalHash)
		if err != nil {
			return nil, err
		}
		claims[approvalClaim] = base64.StdEncoding.EncodeToString(approval)
	}
	return claims, nil
}

// approvalClaim has the hash of an approval of signatures.
const approvalClaim = "org.cloudsignatureconsortium.dm.1.qesApproval"

// Factor is how a holder was recognised: a category and a method of EUDI TS12
// 1.0.1, 3.6, such as "knowledge" and "pin_6_or_more_digits".
type Factor struct{ Category, Method string }

// factorMethods are the methods by category.
var factorMethods = map[string][]string{
	"knowledge": {"pin_less_than_6_digits", "pin_6_or_more_digits", "passphrase_less_than_8_chars", "passphrase_8_to_11_chars",
		"passphrase_12_or_more_chars", "pattern", "other"},
	"possession": {"key_in_remote_wscd", "key_in_local_external_wscd", "key_in_local_internal_wscd", "key_in_local_native_wscd", "other"},
	"inherence":  {"fingerprint_device", "fingerprint_external", "face_device", "face_external", "other"},
}

// checkFactors refuses what TS12 has no word for.
func checkFactors(list []Factor) ([]Factor, error) {
	for _, f := range list {
		if !slices.Contains(factorMethods[f.Category], f.Method) {
			return nil, fmt.Errorf("consent: factor %.40q, %.40q is none of EUDI TS12 1.0.1, 3.6", f.Category, f.Method)
		}
	}
	return list, nil
}

// methods is the claim "amr". That the key is the app's own is always true; what
// keeps it the consent has to say, or else it is "other".
//
// EUDI TS12 1.0.1, 3.6.
func methods(list []Factor) []map[string]string {
	if !slices.ContainsFunc(list, func(f Factor) bool { return f.Category == "possession" }) {
		list = append([]Factor{{"possession", "other"}}, list...)
	}
	out := make([]map[string]string, len(list))
	for i, f := range list {
		out[i] = map[string]string{f.Category: f.Method}
	}
	return out
}

package verifier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/transaction"
	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

// Agreement is something that the holder is to agree to by answering, such as a
// payment: an entry of transaction_data. OpenID4VP 1.0, 5.1 and 8.4.
type Agreement struct {
	Type string `json:"type" min:"1" max:"256" doc:"one of the tenant's transactionTypes"`
	// Data are the members that the type defines.
	Data json.RawMessage `json:"data,omitempty" doc:"object with the members that the type defines"`
	// Credentials are ids of the question's credentials of which one agrees.
	// Optional: any that can.
	Credentials []string `json:"credential_ids,omitempty" doc:"ids of credentials in the question, of which one agrees; any that can if absent"`
}

// maxAgreements bounds what a holder agrees to at once.
const maxAgreements = 16

// frame is what every entry of transaction_data has, beside what its type
// defines. OpenID4VP 1.0, 5.1 and B.3.3.1.
var frame = []string{"type", "credential_ids", "transaction_data_hashes_alg"}

// transactionType finds one of the tenant's types.
func (t Tenant) transactionType(name string) (TransactionType, bool) {
	i := slices.IndexFunc(t.TransactionTypes, func(k TransactionType) bool { return k.Type == name })
	if i < 0 {
		return TransactionType{}, false
	}
	return t.TransactionTypes[i], true
}

// checkTransactionTypes notes what is wrong with the types.
func (t Tenant) checkTransactionTypes(p *conf.Problems) {
	for i, k := range t.TransactionTypes {
		ref := k.element()
		switch {
		case k.Type == "" || len(k.Type) > 256:
			p.Add("transactionTypes: each has a type of at most 256 characters")
		case slices.ContainsFunc(t.TransactionTypes[:i], func(o TransactionType) bool { return o.Type == k.Type }):
			p.Add("transactionTypes: %.40q is there twice", k.Type)
		case k.Element != "" && (ref.NameSpace == "" || ref.ID == ""):
			p.Add("transactionTypes: element: wanted NAMESPACE/ELEMENT")
		}
		for _, alg := range k.HashAlgorithms {
			if _, err := (oid4vp.TransactionData{}).Hash(alg); err != nil {
				p.AddError("transactionTypes: hashAlgorithms", err)
			}
		}
		if k.Element != "" && len(k.HashAlgorithms) > 0 && !slices.Contains(k.HashAlgorithms, "sha-256") {
			p.Add("transactionTypes: hashAlgorithms: an mdoc agrees with sha-256")
		}
	}
}

// element is the one in which mdocs sign the hash.
func (k TransactionType) element() mdoc.ElementRef {
	i := strings.LastIndexByte(k.Element, '/')
	if i < 0 {
		return mdoc.ElementRef{}
	}
	return mdoc.ElementRef{NameSpace: k.Element[:i], ID: k.Element[i+1:]}
}

// agreements makes what is to be agreed to into entries of transaction_data.
// Errors wrap ErrInvalid.
func (t *tenant) agreements(list []Agreement, q query.Query) ([]oid4vp.TransactionData, error) {
	if len(list) > maxAgreements {
		return nil, fmt.Errorf("%w: at most %d things to agree to", ErrInvalid, maxAgreements)
	}
	var out []oid4vp.TransactionData
	for _, a := range list {
		d, err := t.agreement(a, q)
		if err != nil {
			return nil, fmt.Errorf("%w: transaction data: %w", ErrInvalid, err)
		}
		out = append(out, d)
	}
	return out, nil
}

func (t *tenant) agreement(a Agreement, q query.Query) (oid4vp.TransactionData, error) {
	var none oid4vp.TransactionData
	kind, ok := t.config.transactionType(a.Type)
	if !ok {
		return none, fmt.Errorf("the type %.80q is not among those of the configuration", a.Type)
	}
	object := map[string]json.RawMessage{}
	if len(a.Data) > 0 {
		if err := jose.Unmarshal(a.Data, &object, jose.Limits{Token: maxInfoFile}); err != nil || object == nil {
			return none, fmt.Errorf("the data of %.80q are no JSON object of at most %d bytes", a.Type, maxInfoFile)
		}
	}
	for _, name := range frame {
		if _, taken := object[name]; taken {
			return none, fmt.Errorf("the data of %.80q have a member %s, which is ours", a.Type, name)
		}
	}
	can := t.canAgree(q, kind)
	ids := a.Credentials
	if len(ids) == 0 {
		ids = can
	}
	if len(ids) == 0 {
		return none, fmt.Errorf("nothing that is asked for can agree to %.80q", a.Type)
	}
	for _, id := range ids {
		if !slices.Contains(can, id) {
			return none, fmt.Errorf("%.80q is not asked for, or cannot agree to %.80q", id, a.Type)
		}
	}
	if err := checkKnown(a.Type, object, t.v.now()); err != nil {
		return none, err
	}
	members := map[string]any{"type": a.Type, "credential_ids": ids}
	if len(kind.HashAlgorithms) > 0 {
		members["transaction_data_hashes_alg"] = kind.HashAlgorithms
	}
	for name, value := range object {
		members[name] = value
	}
	text, err := json.Marshal(members)
	if err != nil {
		return none, err
	}
	return oid4vp.NewTransactionData(text)
}

// checkKnown refuses data that wallets refuse, of the types that are known.
func checkKnown(name string, object map[string]json.RawMessage, now time.Time) error {
	kind, ok := transaction.Find(name)
	if !ok {
		return nil
	}
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = kind.Read(text, now)
	return err
}

// canAgree are the credentials of a question that can agree to a type: SD-JWT VCs
// that are bound to their holder, and mdocs where the type has an element; never
// a document whose key signs no transaction data, such as a PID (PID rulebook
// 1.7, 5).
//
// OpenID4VP 1.0, B.2.1 and B.3.3.
func (t *tenant) canAgree(q query.Query, kind TransactionType) []string {
	var ids []string
	for _, c := range q.Credentials {
		if c.Format == query.FormatSDJWT && c.Unbound || c.Format == query.FormatMdoc && kind.Element == "" || len(c.Types) > 0 && !slices.ContainsFunc(c.Types, t.authorises) {
			continue
		}
		ids = append(ids, c.ID)
	}
	return ids
}

// authorises reports whether documents of a type may agree to something.
func (t *tenant) authorises(name string) bool {
	d, known := t.v.types.ByVCT(name)
	if !known {
		d, known = t.v.types.ByDocType(name)
	}
	return !known || !d.NeverAuthorises
}

// transactions are those of a transaction on its way, as they were sent.
func (r *request) transactions() ([]oid4vp.TransactionData, error) {
	var list []oid4vp.TransactionData
	for _, encoded := range r.OID4VP.Transactions {
		text, err := jose.Decode(encoded)
		if err != nil {
			return nil, err
		}
		d, err := oid4vp.NewTransactionData(text)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// agreedElements are those in which mdocs sign that they agree.
func (t *tenant) agreedElements(list []oid4vp.TransactionData) []mdoc.ElementRef {
	var refs []mdoc.ElementRef
	for _, d := range list {
		if kind, ok := t.config.transactionType(d.Type); ok && kind.Element != "" {
			refs = append(refs, kind.element())
		}
	}
	return refs
}

// agreed is what was agreed to, as the holder's wallet had it, and how.
func agreed(list []oid4vp.TransactionData, how []oid4vp.Authorised, result *core.Result, now time.Time) []core.Agreed {
	var out []core.Agreed
	for i, d := range list {
		a := core.Agreed{Type: d.Type, Data: d.JSON, Credential: how[i].Credential, Hash: how[i].Hash, HashAlgorithm: how[i].Algorithm}
		for _, doc := range result.Documents {
			// Of several presentations for one credential it is the one that has the hash.
			if doc.Credential == a.Credential && bytes.Contains(doc.KeyBinding, []byte(`"`+a.Hash+`"`)) {
				a.Binding = doc.KeyBinding
			}
		}
		if kind, ok := transaction.Find(d.Type); ok {
			if s, err := kind.Read(d.JSON, now); err == nil {
				a.Lines = s.Lines
			}
		}
		out = append(out, a)
	}
	return out
}

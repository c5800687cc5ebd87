package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
)

// Document is what a person has, apart from what is in it.
type Document struct {
	ID            string    `json:"id"`
	Format        string    `json:"format"`  // mso_mdoc or dc+sd-jwt
	DocType       string    `json:"doctype"` // of an SD-JWT VC, its vct
	Name          string    `json:"name"`    // as the issuer calls it in the holder's language
	Issuer        Party     `json:"issuer"`  // ID is the credential issuer identifier
	Configuration string    `json:"configuration"`
	Added         time.Time `json:"added"`
	Updated       time.Time `json:"updated,omitzero"` // when new copies last replaced the old ones
	Grant         string    `json:"grant,omitempty"`  // with which new copies come without the person
	ValidFrom     time.Time `json:"valid_from"`
	ValidUntil    time.Time `json:"valid_until"`
	// Copies were issued, Unused of them never shown.
	Copies int `json:"copies"`
	Unused int `json:"unused"`
	// Reuse is how the issuer wants the copies to be used, if it says so.
	Reuse *oid4vci.ReuseOption `json:"reuse,omitempty"`
	// Authorises are the types of transaction data that the document can
	// authorise by what its issuer publishes, with what their payload is.
	Authorises map[string]string `json:"authorises,omitempty"`
	// Checked is when CheckStatus last found out something, and Status what.
	Checked time.Time          `json:"checked,omitzero"`
	Status  statuslist.Outcome `json:"status,omitempty"`
}

// Element is one element of a document as people see it.
type Element struct {
	NameSpace string `json:"namespace"`
	ID        string `json:"id"`
	Label     string `json:"label"`
	Text      string `json:"text"` // of an image, its size
	// Image is set for pictures, such as the portrait: JPEG or JPEG 2000.
	Image []byte `json:"image,omitempty"`
}

// credentialRow is one signed copy, without its bytes.
type credentialRow struct {
	Key      string    `json:"key"`  // id in the secure area
	Uses     int       `json:"uses"` // how often it was taken to be shown
	LastUsed time.Time `json:"last_used,omitzero"`
	// Shared says that more than one party may have seen it.
	Shared bool `json:"shared,omitempty"`
	// Shown are the entries of the log in which it was last shown to each party
	// that has a copy of its own. Who that is stands there alone: when the
	// person has it forgotten there, nothing here tells it either.
	Shown []string `json:"shown,omitempty"`
}

// copyOf is a copy with its id.
type copyOf struct {
	id string
	credentialRow
}

// copies reads the rows of a document's copies, in the order they were issued.
func copies(ctx context.Context, t Txn, document string) ([]copyOf, error) {
	items, err := t.List(ctx, kindCredential, document+"/")
	if err != nil {
		return nil, err
	}
	out := make([]copyOf, len(items))
	for i, item := range items {
		out[i].id = item.ID
		if err := json.Unmarshal(item.Value, &out[i].credentialRow); err != nil {
			return nil, fmt.Errorf("stored copy is damaged: %w", err)
		}
	}
	return out, nil
}

// document reads a document and its copies.
func document(ctx context.Context, t Txn, id string) (Document, []copyOf, error) {
	var d Document
	if err := getJSON(ctx, t, kindDocument, id, &d); err != nil {
		return d, nil, err
	}
	list, err := copies(ctx, t, id)
	d.count(list)
	return d, list, err
}

// count fills in how many copies are left.
func (d *Document) count(list []copyOf) {
	d.Copies, d.Unused = len(list), 0
	for _, c := range list {
		if c.Uses == 0 {
			d.Unused++
		}
	}
}

// documents reads all documents, in the order they were added.
func documents(ctx context.Context, t Txn) ([]Document, error) {
	out, err := listJSON[Document](ctx, t, kindDocument)
	slices.SortStableFunc(out, func(a, b Document) int { return a.Added.Compare(b.Added) })
	return out, err
}

// Documents lists what is held, in the order it was added.
func (w *Wallet) Documents(ctx context.Context) ([]Document, error) {
	var out []Document
	err := w.deps.Storage.View(ctx, func(t Txn) error {
		list, err := documents(ctx, t)
		if err != nil {
			return err
		}
		for i := range list {
			rows, err := copies(ctx, t, list[i].ID)
			if err != nil {
				return err
			}
			list[i].count(rows)
		}
		out = list
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	return out, nil
}

// Show returns a document and what is in it.
func (w *Wallet) Show(ctx context.Context, id string) (Document, []Element, error) {
	var doc Document
	var raw []byte
	err := w.deps.Storage.View(ctx, func(t Txn) error {
		d, list, err := document(ctx, t, id)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return errors.New("stored document has no copies")
		}
		doc = d
		raw, err = t.Get(ctx, kindIssued, list[0].id)
		return err
	})
	if err != nil {
		return Document{}, nil, fmt.Errorf("show document %.64q: %w", id, err)
	}
	c, err := read(doc.Format, raw)
	if err != nil {
		return Document{}, nil, fmt.Errorf("show document %.64q: %w", id, err)
	}
	switch c := c.(type) {
	case *receivedSDJWT:
		elements, err := w.claimElements(c.sdjwt())
		if err != nil {
			return Document{}, nil, fmt.Errorf("show document %.64q: %w", id, err)
		}
		return doc, elements, nil
	case *receivedMdoc:
		return doc, w.elements((*mdoc.IssuerSigned)(c)), nil
	}
	return doc, nil, nil
}

// elements are the contents of a document for people.
func (w *Wallet) elements(s *mdoc.IssuerSigned) []Element {
	docType := s.Auth.MSO.DocType
	t, known := w.deps.Types.ByDocType(docType)
	var out []Element
	for _, ns := range s.NameSpaces {
		for _, item := range ns.Items {
			e := Element{NameSpace: ns.Name, ID: item.ID}
			e.Label, e.Text = w.deps.Types.Display(w.cfg.Language, docType, ns.Name, item.ID, item.Value)
			e.Label, e.Text = printable(e.Label), printable(e.Text)
			if known {
				e.Image = image(t, ns.Name, item.ID, item.Value)
			}
			out = append(out, e)
		}
	}
	return out
}

// image returns the bytes of an element that is a picture.
func image(t *doctype.Type, nameSpace, id string, value []byte) []byte {
	el, ok := t.Element(nameSpace, id)
	if !ok || (el.Kind != doctype.JPEG && el.Kind != doctype.Image) {
		return nil
	}
	v, err := el.Decode(value)
	if err != nil {
		return nil
	}
	data, _ := v.([]byte)
	return data
}

// Delete forgets a document with all copies and their keys.
func (w *Wallet) Delete(ctx context.Context, id string) error {
	var keys []string
	entry := w.newEntry(EventDeletion)
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		doc, list, err := document(ctx, t, id)
		if err != nil {
			return err
		}
		keys = nil
		for _, c := range list {
			keys = append(keys, c.Key)
			if err := putJSON(ctx, t, kindOrphan, c.Key, orphanRow{}); err != nil {
				return err
			}
			if err := errors.Join(t.Delete(ctx, kindIssued, c.id), t.Delete(ctx, kindCredential, c.id)); err != nil {
				return err
			}
		}
		if err := t.Delete(ctx, kindDocument, id); err != nil {
			return err
		}
		ofGrant, err := dropGrant(ctx, t, doc.Grant)
		if err != nil {
			return err
		}
		keys = append(keys, ofGrant...)
		entry.Outcome, entry.Party = OutcomeDone, doc.Issuer
		entry.Documents = []LoggedDocument{{ID: id, DocType: doc.DocType, Copies: doc.Copies}}
		return putJSON(ctx, t, kindLog, entry.ID, entry)
	})
	if err != nil {
		return fmt.Errorf("delete document %.64q: %w", id, err)
	}
	w.forget(ctx, keys...)
	return nil
}

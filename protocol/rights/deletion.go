// Package rights is what a holder's app says to a relying party after a
// presentation: that what it was shown is to be deleted.
//
// EUDI TS7 leaves it at a website, an e-mail or a telephone call to the support
// URI of the relying party. Ours takes this message at the same address, so
// that nobody has to write anything (docs/divergences.md). There is no I/O here.
package rights

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// ErrInvalid is wrapped by every error about a message that is not in order.
var ErrInvalid = errors.New("message about a holder's rights is not in order")

// ErrNoEndpoint says that what answers at an address takes no such messages: it
// is a page for people.
var ErrNoEndpoint = errors.New("no machine takes requests for deletion there")

const (
	maxMessage  = 16 << 10 // bytes
	maxElements = 256
	maxText     = 512 // bytes of a text
)

// Deletion asks a relying party to erase what it was shown. It proves nothing
// about who asks, other than by the receipts: whoever answers for the data
// makes sure that it is the holder (TS7, DATA_DLT_07). It holds no values.
//
// Regulation (EU) 2016/679, Article 17; EUDI TS7, DATA_DLT_06 and _09.
type Deletion struct {
	// ID is drawn by the app and the same when it asks again.
	ID string `json:"id"`
	// ResponseURI is where the answer went; empty if not over the internet.
	ResponseURI string `json:"response_uri,omitempty"`
	// ClientID is who was asking, as its request said; empty on-site.
	ClientID string    `json:"client_id,omitempty"`
	Shared   time.Time `json:"shared"` // to the second
	// Elements are the names of what was shown, the document type first.
	Elements []string `json:"elements"`
	// Receipts are the hashes of the presentations, see Receipt. Who kept one
	// knows that nobody but its holder, or itself, can have written this.
	Receipts []string `json:"receipts,omitempty"`
	// Contact is how to reach the holder, and Message what the holder adds.
	Contact string `json:"contact,omitempty"`
	Message string `json:"message,omitempty"`
}

// Receipt stands for a presentation: the SHA-256, in base64url, of what was
// sent in a vp_token (of an mdoc its base64url, of an SD-JWT VC all of it), or,
// on-site and by the ways of ISO/IEC TS 18013-7, of the DeviceResponse. The
// signatures and salts in it make it impossible to guess.
func Receipt(presentation []byte) string {
	sum := sha256.Sum256(presentation)
	return jose.Encode(sum[:])
}

// Request is the HTTP request that delivers it to a support URI. What is too
// much for one message is cut off; then a sentence says so.
func (d Deletion) Request(supportURI string) (fetch.Request, error) {
	d.Shared = d.Shared.UTC().Truncate(time.Second)
	const tooMany = "More was shared than this message holds: please delete everything that came with it."
	if len(d.Elements) > maxElements || len(d.Receipts) > maxElements {
		d.Elements, d.Receipts = d.Elements[:min(len(d.Elements), maxElements)], d.Receipts[:min(len(d.Receipts), maxElements)]
		d.Message = strings.TrimSpace(tooMany + "\n" + d.Message)
	}
	for body, err := json.Marshal(d); err == nil && len(body) > maxMessage && len(d.Elements) > 1; body, err = json.Marshal(d) {
		if !strings.HasPrefix(d.Message, tooMany) {
			d.Message = strings.TrimSpace(tooMany + "\n" + d.Message)
		}
		d.Elements, d.Receipts = d.Elements[:len(d.Elements)/2], d.Receipts[:(len(d.Receipts)+1)/2]
	}
	if err := d.check(); err != nil {
		return fetch.Request{}, err
	}
	r, err := fetch.JSONRequest(supportURI, d)
	r.MaxBytes = 64 << 10
	return r, err
}

// ParseDeletion reads a message, strictly. Members that are not known are
// passed over. Error: ErrInvalid.
func ParseDeletion(body []byte) (Deletion, error) {
	var d Deletion
	if err := jose.Unmarshal(body, &d, jose.Limits{Token: maxMessage, Depth: 3, Members: 2*maxElements + 16}); err != nil {
		return Deletion{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := d.check(); err != nil {
		return Deletion{}, err
	}
	return d, nil
}

func (d Deletion) check() error {
	switch {
	case d.ID == "" || d.Shared.IsZero():
		return fmt.Errorf("%w: \"id\" or \"shared\" is missing", ErrInvalid)
	case len(d.Elements) > maxElements || len(d.Receipts) > maxElements:
		return fmt.Errorf("%w: %d elements and %d receipts, at most %d each", ErrInvalid, len(d.Elements), len(d.Receipts), maxElements)
	case len(d.Message) > 4096 || strings.ContainsFunc(d.Message, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }):
		return fmt.Errorf("%w: \"message\" is longer than 4096 bytes or no text", ErrInvalid)
	}
	for _, s := range append([]string{d.ID, d.ResponseURI, d.ClientID, d.Contact}, d.Elements...) {
		if len(s) > maxText || strings.ContainsFunc(s, unicode.IsControl) {
			return fmt.Errorf("%w: a text is longer than %d bytes or no single line", ErrInvalid, maxText)
		}
	}
	for _, s := range d.Receipts {
		if sum, err := jose.Decode(s); err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("%w: a receipt is no SHA-256 in base64url", ErrInvalid)
		}
	}
	return nil
}

// Acknowledgement says that a message has arrived, not that anything was
// deleted.
type Acknowledgement struct {
	ID string `json:"id"` // under which the relying party keeps the request
}

// Reply is the answer to a message that was taken. RFC 9110, 15.3.3.
func (a Acknowledgement) Reply() fetch.Response { return fetch.JSONResponse(202, a) }

// ParseAcknowledgement reads the answer to a message. Errors: ErrNoEndpoint for
// what a website answers; others say that the message was refused, and why.
func ParseAcknowledgement(r fetch.Response) (Acknowledgement, error) {
	var a Acknowledgement
	switch {
	case r.MediaType() != "application/json", r.Status == 404, r.Status == 405, r.Status == 415, r.Status >= 300 && r.Status < 400:
		return a, fmt.Errorf("%w (status %d, %q)", ErrNoEndpoint, r.Status, r.MediaType())
	case r.Status < 200 || r.Status > 299:
		return a, fmt.Errorf("the relying party refused the request for deletion with status %d: %s", r.Status, r.Refusal())
	}
	if err := jose.Unmarshal(r.Body, &a, jose.Limits{Token: 64 << 10}); err != nil || len(a.ID) > maxText || strings.ContainsFunc(a.ID, unicode.IsControl) || a.ID == "" {
		return Acknowledgement{}, fmt.Errorf("%w: it does not acknowledge the request", ErrNoEndpoint)
	}
	return a, nil
}

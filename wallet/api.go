package wallet

import (
	"context"
	"errors"
	"time"

	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/eidos-id/eidos/transport"
)

// Instance is this installation of the app as its provider knows it.
type Instance struct {
	Provider  string            `json:"provider"` // base URL
	ID        string            `json:"instance_id"`
	ClientID  string            `json:"client_id"`
	Level     attestation.Level `json:"assurance_level"`
	Area      string            `json:"secure_area"` // where its key lives
	Installed time.Time         `json:"installed"`
	Expires   time.Time         `json:"expires"` // of the attestation, which is renewed by itself
	Links     attestation.Links `json:"links"`
}

// Install makes the instance key and registers the app with the provider at a
// base URL. Installed there already, it renews what the provider vouches for.
func (w *Wallet) Install(ctx context.Context, provider string) (Instance, error) {
	return Instance{}, errors.ErrUnsupported
}

// Status is the installation; ErrNotInstalled.
func (w *Wallet) Status(ctx context.Context) (Instance, error) {
	return Instance{}, errors.ErrUnsupported
}

// Offer is an offer of documents with what is needed to decide about it.
type Offer struct {
	oid4vci.Offer
	Metadata  *oid4vci.Metadata
	Issuer    Party     // Standing is unknown until a document is there
	Documents []Offered // those of Configurations that this app can hold
	// TxCode is not nil when a code that came another way (PIN) is needed.
	TxCode *oid4vci.TxCode
	// Browser says that the person has to authenticate in a browser.
	Browser bool
}

// Offered is one document of an offer.
type Offered struct{ Configuration, DocType, Name string }

// ReadOffer reads the offer in a link and fetches what the issuer says of itself.
func (w *Wallet) ReadOffer(ctx context.Context, link string) (*Offer, error) {
	return nil, errors.ErrUnsupported
}

// AcceptOptions are what the person has to add to an offer.
type AcceptOptions struct {
	// Configurations picks some of the offer's documents; empty takes all.
	Configurations []string
	// TxCode is the PIN, if the offer wants one.
	TxCode string
	// Browser opens the URL for the person and returns the whole URI that the
	// browser was sent back to (Config.RedirectURI and a query). Needed for
	// offers with Browser.
	Browser func(ctx context.Context, url string) (redirected string, err error)
	// Progress, if not nil, is told of each step as it begins.
	Progress func(Step)
}

// Step is a step of getting a document, for people who wait.
type Step string

// The steps, in their order.
const (
	StepAuthorise Step = "authorise" // with the issuer's authorisation server
	StepKeys      Step = "keys"      // made and vouched for
	StepRequest   Step = "request"   // documents from the issuer
	StepVerify    Step = "verify"    // what was given
	StepStore     Step = "store"
)

// Accept takes an offer up and returns the documents, which are stored by
// then. If anything fails nothing is stored. Errors wrap ErrNotInstalled,
// ErrTxCode, ErrOfferUsed, ErrUntrusted, or say what else to do.
func (w *Wallet) Accept(ctx context.Context, o *Offer, opts AcceptOptions) ([]Document, error) {
	return nil, errors.ErrUnsupported
}

// Document is what a person has, apart from what is in it.
type Document struct {
	ID            string    `json:"id"`
	Format        string    `json:"format"` // mso_mdoc
	DocType       string    `json:"doctype"`
	Name          string    `json:"name"`   // as the issuer calls it in the holder's language
	Issuer        Party     `json:"issuer"` // ID is the credential issuer identifier
	Configuration string    `json:"configuration"`
	Added         time.Time `json:"added"`
	ValidFrom     time.Time `json:"valid_from"`
	ValidUntil    time.Time `json:"valid_until"`
	// Copies were issued, Unused of them never shown.
	Copies int `json:"copies"`
	Unused int `json:"unused"`
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

// Documents lists what is held, in the order it was added.
func (w *Wallet) Documents(ctx context.Context) ([]Document, error) {
	return nil, errors.ErrUnsupported
}

// Show returns a document and what is in it.
func (w *Wallet) Show(ctx context.Context, id string) (Document, []Element, error) {
	return Document{}, nil, errors.ErrUnsupported
}

// Delete forgets a document with all copies and their keys.
func (w *Wallet) Delete(ctx context.Context, id string) error { return errors.ErrUnsupported }

// CheckStatus asks the status lists whether a document is still valid, and
// keeps the answer. It tells nobody which document is meant.
func (w *Wallet) CheckStatus(ctx context.Context, id string) (Document, error) {
	return Document{}, errors.ErrUnsupported
}

// Listener waits for the one reader that saw the engagement; *tcp.Listener is one.
type Listener interface {
	Address() string
	Accept(ctx context.Context) (transport.Conn, error)
	Close() error
}

// PresentOptions say how to meet the reader.
type PresentOptions struct {
	Listener Listener
	// Retrieval are the ways to connect to write into the engagement;
	// optional, engagement.TCP of the listener's address.
	Retrieval []engagement.RetrievalMethod
	// Show shows the text of the QR code, until the reader connects.
	Show func(ctx context.Context, qr string) error
	// Once ends the session with the first answer.
	Once bool
}

// Present shows an engagement and answers the reader that connects, until
// either side ends the session. It returns one entry per question, as it
// stands in the log, also with an error. It closes the listener. Nothing is
// fetched but trust anchors that are due.
func (w *Wallet) Present(ctx context.Context, o PresentOptions) ([]LogEntry, error) {
	return nil, errors.ErrUnsupported
}

// Answer answers the request in a link of OpenID4VP. It returns the entry of
// the log and where to send the browser next, empty if nowhere. A refusal is
// posted to the verifier and returned as ErrRefused or ErrNothing.
func (w *Wallet) Answer(ctx context.Context, link string) (entry LogEntry, redirect string, err error) {
	return LogEntry{}, "", errors.ErrUnsupported
}

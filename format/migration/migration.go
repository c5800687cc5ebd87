// Package migration reads and writes what a holder takes along from one app to
// another: the log of transactions and the list of documents, encrypted under
// a password. There are no keys and no attribute values in it; documents are
// issued anew.
//
// EUDI TS10 (Data Portability and Download), version 1.2.
package migration

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
)

// ErrInvalid is wrapped by every error about data that are not in order.
var ErrInvalid = errors.New("migration object is not in order")

const (
	maxTransactions = 100_000
	maxCredentials  = 10_000
	typ             = "eudi-migration+json" // of our JWE; TS10 has none, and others' are not looked at
)

// Data is what is taken along. TS10, 3.18.
type Data struct {
	TransactionLog    []Transaction `json:"transactionLog"`
	ListOfCredentials []Credential  `json:"listOfCredentials"`
	// NonDeviceBound are documents that need no key of the device, whole.
	NonDeviceBound []NonDeviceBound `json:"nonDeviceBoundCredentials"`
}

// Transaction is a line of the log: one of the first members, and what is
// common to all. TS10, 3.1.
type Transaction struct {
	Presentation        *Presentation    `json:"presentation,omitempty"`
	CredentialIssuance  *Issuance        `json:"credentialIssuance,omitempty"`
	CredentialDeletion  *Removal         `json:"credentialDeletion,omitempty"`
	DataDeletionRequest *DeletionRequest `json:"dataDeletionRequest,omitempty"`
	DPAReport           *Report          `json:"dpaReport,omitempty"`
	Other               *Other           `json:"otherTransaction,omitempty"`

	ID     string `json:"transactionIdentifier"`
	Time   Time   `json:"time"`
	Type   Type   `json:"transactionType"`
	Result Result `json:"transactionResult"`

	// Eidos is the entry as this app keeps it, so that nothing is lost between
	// two of them; it is ours alone.
	Eidos json.RawMessage `json:"eidos,omitempty"`
}

// Type is what a transaction is about. There are more in TS10.
type Type string

// The types that this app writes.
const (
	TypePresentation    Type = "Presentation"
	TypeIssuance        Type = "CredentialIssuance"
	TypeReissuance      Type = "CredentialReissuance"
	TypeDeletion        Type = "CredentialDeletion"
	TypeDeletionRequest Type = "DataDeletionRequest"
	TypeReport          Type = "DPAReport"
)

// Result is how a transaction ended.
type Result string

// The results.
const (
	Completed    Result = "Completed"
	NotCompleted Result = "NotCompleted"
)

// Presentation is something that was asked for, and what was shown. What the
// app never learnt of the members that TS10 demands is left out, since to make
// it up would be worse. TS10, 3.2.
type Presentation struct {
	Identifier     *Identifier  `json:"interactingPartyIdentifier,omitempty"`
	PartyType      string       `json:"interactingPartyType"` // ServiceProvider
	Name           Text         `json:"interactingPartyName"`
	Contact        []string     `json:"interactingPartyContact,omitempty"`
	IsIntermediary Bool         `json:"isIntermediary"`
	Purpose        []LangString `json:"purpose,omitempty"`
	DPAContact     []string     `json:"dpaContact,omitempty"`
	Requested      []ClaimInfo  `json:"listOfClaimsRequested"`
	Presented      []ClaimInfo  `json:"listOfClaimsPresented"`
	Reason         string       `json:"reasonOfNoncompletion,omitempty"`
}

// Issuance is documents that were got. TS10, 3.5.
type Issuance struct {
	Identifier  *Identifier `json:"interactingPartyIdentifier,omitempty"`
	PartyType   string      `json:"interactingPartyType,omitempty"`
	Name        Text        `json:"interactingPartyName"`
	Contact     []string    `json:"interactingPartyContact,omitempty"`
	Requested   int         `json:"credentialNumberRequested"`
	Issued      int         `json:"credentialNumberIssued"`
	Credentials []string    `json:"credentialIdentifier"`
	ByUser      Bool        `json:"isUserTriggered"`
}

// Removal is a document that the holder deleted. TS10, 3.6.
type Removal struct {
	Credential string      `json:"credentialIdentifier"`
	Identifier *Identifier `json:"credentialIssuerIdentifier,omitempty"`
	Name       Text        `json:"credentialIssuerName"`
}

// DeletionRequest is that a verifier was asked to delete. TS10, 3.13.
type DeletionRequest struct {
	Identifier *Identifier `json:"interactingPartyIdentifier,omitempty"`
	Name       Text        `json:"interactingPartyName"`
	Claims     []ClaimInfo `json:"listOfClaims"`
}

// Report is that a verifier was reported. TS10, 3.14.
type Report struct {
	Name Text `json:"dpaName"`
}

// Other is anything else. TS10, 3.15.
type Other struct {
	Description string `json:"description"`
}

// Credential is a document that the holder had, and where to get it again.
// TS10, 3.19.1.
type Credential struct {
	ID         string      `json:"credentialIdentifier"` // docType or vct
	Format     string      `json:"format"`
	Identifier *Identifier `json:"issuerIdentifier,omitempty"`
	IssuerType string      `json:"issuerType,omitempty"`
	Issuer     Text        `json:"issuerName"`
	SupplyURL  string      `json:"supplyPointURL,omitempty"`
}

// NonDeviceBound is a document as it was issued. TS10, 3.19.13.
type NonDeviceBound struct {
	Format     string `json:"format"`
	Credential string `json:"credential"`
}

// Identifier is an identifier with what kind it is. TS2, 2.8.2.
type Identifier struct {
	Type string `json:"type"` // a URI
	ID   string `json:"identifier"`
}

// ClaimInfo names claims of a document. TS10, 3.19.2.
type ClaimInfo struct {
	Credential string  `json:"credentialIdentifier"` // docType or vct
	Claims     []Claim `json:"claims"`
}

// LangString is a text in a language. TS5, 2.4.5.
type LangString struct {
	Lang    string `json:"lang"`
	Content string `json:"content"`
}

// Seal encrypts under a password. TS10, 5.
func (d Data) Seal(password string) (string, error) {
	// None is an empty list, not null.
	d.TransactionLog = append([]Transaction{}, d.TransactionLog...)
	d.ListOfCredentials = append([]Credential{}, d.ListOfCredentials...)
	d.NonDeviceBound = append([]NonDeviceBound{}, d.NonDeviceBound...)
	plain, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("migration object: %w", err)
	}
	return jose.EncryptWithPassword(plain, password, typ)
}

// Open decrypts a migration object, or a transaction log by itself (TS10, 4.1
// and 4.2). Errors: jose.ErrDecrypt if the password is another or the file was
// changed, jose.ErrMalformed or ErrUnsupported, ErrInvalid.
func Open(token, password string) (Data, error) {
	plain, err := jose.DecryptWithPassword(token, password)
	if err != nil {
		return Data{}, err
	}
	return Parse(plain)
}

// Parse reads the plaintext. Members that are not known are passed over; those
// that are there have to be of their type.
func Parse(plain []byte) (Data, error) {
	var d Data
	limits := jose.Limits{Token: 16 << 20, Members: 4_000_000}
	if len(plain) > 0 && plain[0] == '[' {
		if err := jose.Unmarshal(plain, &d.TransactionLog, limits); err != nil {
			return Data{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	} else if err := jose.Unmarshal(plain, &d, limits); err != nil {
		return Data{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(d.TransactionLog) > maxTransactions || len(d.ListOfCredentials)+len(d.NonDeviceBound) > maxCredentials {
		return Data{}, fmt.Errorf("%w: %d transactions and %d documents are too many", ErrInvalid, len(d.TransactionLog), len(d.ListOfCredentials)+len(d.NonDeviceBound))
	}
	for n, t := range d.TransactionLog {
		if t.ID == "" || len(t.ID) > 256 || time.Time(t.Time).IsZero() || t.Type == "" {
			return Data{}, fmt.Errorf("%w: transaction %d lacks its identifier, time or type (EUDI TS10, 3.1)", ErrInvalid, n+1)
		}
	}
	for n, c := range d.ListOfCredentials {
		if c.ID == "" {
			return Data{}, fmt.Errorf("%w: document %d lacks its type (EUDI TS10, 3.19.1)", ErrInvalid, n+1)
		}
	}
	return d, nil
}

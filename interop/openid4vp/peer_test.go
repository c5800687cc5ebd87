package openid4vp_test

import (
	"encoding/json"

	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// task is one thing asked of the peer; peer.mjs lists them.
type task = testkit.Task

// answer is what came back.
type answer struct {
	OK    bool
	Why   string
	ID    int
	Bound bound

	// Of its verifier.
	DID           string
	Link          string
	Object        string
	Request       json.RawMessage
	Presentations map[string][]string
	Header        struct{ Alg, Enc, KID, APU, APV string }
	Authorised    []string // credentials, by transaction

	// Of its wallet.
	Prefix          string
	Mode            string
	Query           json.RawMessage
	TransactionData []struct {
		Encoded         string
		TransactionData struct {
			Type          string
			Amount        string
			CredentialIDs []string `json:"credential_ids"`
		}
	}
	VerifierInfo []oid4vp.VerifierInfo
	Metadata     json.RawMessage
	Status       int
	Reply        struct {
		RedirectURI      string `json:"redirect_uri"`
		Error            string `json:"error"`
		ErrorDescription string `json:"error_description"`
	}
	Response json.RawMessage
}

// bound is what presentations are to be bound to, as the peer has it.
type bound struct {
	ClientID, Nonce, ResponseURI string
	Origin                       string // of a page, empty where there is none
	Thumbprint                   string // hexadecimal, empty where nothing is encrypted
}

var peer = &testkit.Peer[answer]{Package: "@openid4vc/openid4vp"}

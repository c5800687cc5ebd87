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
	Presentations map[string][]string // by credential, "" before version 1.0
	Header        struct{ Alg, Enc, KID, APU, APV string }
	Authorised    []string // credentials, by transaction
	Submission    submission

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
	Definition   struct {
		ID          string
		Descriptors []struct{ ID string } `json:"input_descriptors"`
	}
	Metadata json.RawMessage
	Status   int
	Reply    struct {
		RedirectURI      string `json:"redirect_uri"`
		Error            string `json:"error"`
		ErrorDescription string `json:"error_description"`
	}
	Response json.RawMessage
}

// submission says what an answer before version 1.0 has where.
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

// bound is what presentations are to be bound to, as the peer has it.
type bound struct {
	ClientID, Nonce, ResponseURI string
	Origin                       string // of a page, empty where there is none
	Thumbprint                   string // hexadecimal, empty where nothing is encrypted
}

var peer = &testkit.Peer[answer]{Package: "@openid4vc/openid4vp"}

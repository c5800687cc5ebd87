package sdjwt_test

import (
	"encoding/json"

	"github.com/eidos-id/eidos/internal/testkit"
)

// task is one thing asked of the peer; peer.mjs lists them.
type task = testkit.Task

// answer is what came back.
type answer struct {
	OK         bool
	Why        string
	Credential string
	Payload    json.RawMessage
	Audience   string
	Type       json.RawMessage
	Flattened  json.RawMessage
	General    json.RawMessage
}

var peer = &testkit.Peer[answer]{Package: "@sd-jwt/sd-jwt-vc"}

package owf_test

import (
	"encoding/hex"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit"
)

// task is one thing asked of the peer; peer.mjs lists them.
type task = testkit.Task

// answer is what came back. Bytes are hexadecimal.
type answer struct {
	OK           bool
	Why          string
	Transcript   string
	IssuerSigned string
	Response     string
	Request      string
	DocType      string
	Elements     map[string]map[string]string
	Version      string
	Documents    []struct {
		DocType       string
		NameSpaces    map[string]map[string]bool
		Authenticated bool
	}
}

var peer = &testkit.Peer[answer]{Package: "@owf/mdoc"}

func hexes(list ...[]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = hex.EncodeToString(b)
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

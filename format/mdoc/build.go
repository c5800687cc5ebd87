package mdoc

import (
	"context"

	"github.com/eidos-id/eidos/format/key"
)

// RequestParams is what a request is made of.
type RequestParams struct {
	// Documents are the wanted documents: DocType, NameSpaces and Info are
	// read, the other fields are not.
	Documents []DocRequest
	// Info is optional; with it the request has version "1.1".
	Info *DeviceRequestInfo
	// Reader signs the request; nil sends it unauthenticated.
	Reader *ReaderSigner
}

// ReaderSigner is how a reader proves who it is.
type ReaderSigner struct {
	Key key.Signer
	// Chain is the x5chain, DER, leaf first, without the root.
	Chain [][]byte
	// Transcript is the session's.
	Transcript []byte
	// All signs the whole request (version "1.1", second edition) instead of
	// each document. Only for an mdoc that announced ReaderAuthAllSupport.
	All bool
}

// BuildDeviceRequest encodes a DeviceRequest, maps in the order of the CDDL.
func BuildDeviceRequest(ctx context.Context, p RequestParams) ([]byte, error) { panic("stub") }

package dcapi

import (
	"encoding/json"
	"fmt"

	"github.com/eidos-id/eidos/format/jose"
)

const (
	// maxRequests is the largest list of requests in bytes: room for several
	// protocols with certificate chains and logos.
	maxRequests = 1 << 20
	// maxEntries is how many requests a list may have. There are not as many
	// protocols.
	maxEntries = 32
	// maxProtocol is the longest name of a protocol.
	maxProtocol = 128
	// MaxResponse is the largest response in bytes: several documents with
	// portraits, in base64 twice.
	MaxResponse = 12 << 20
)

// Request is one way in which a page asks.
//
//	dictionary DigitalCredentialGetRequest { required DOMString protocol; required object data; };
//
// W3C Digital Credentials (working draft), 4.
type Request struct {
	Protocol string          `json:"protocol"`
	Data     json.RawMessage `json:"data"`
}

// Response is what a wallet answers: the protocol of the request that it took,
// and the data of the answer.
//
// W3C Digital Credentials (working draft), 5.
type Response struct {
	Protocol string          `json:"protocol"`
	Data     json.RawMessage `json:"data"`
}

// ParseRequests reads what a page hands to the browser, as platforms pass it
// on: the list of requests, the object with the list as its member "requests",
// or that as the member "digital" of the options. The order is the page's.
// What data a protocol wants is not looked at but that it is an object.
// Errors wrap ErrMalformed.
func ParseRequests(raw []byte) ([]Request, error) {
	if err := jose.CheckJSON(raw, jose.Limits{Token: maxRequests}); err != nil {
		return nil, fmt.Errorf("%w: requests of the page: %w", ErrMalformed, err)
	}
	var options struct {
		Digital  *struct{ Requests json.RawMessage } `json:"digital"`
		Requests json.RawMessage                     `json:"requests"`
	}
	list := json.RawMessage(raw)
	if json.Unmarshal(raw, &options) == nil {
		list = options.Requests
		if options.Digital != nil {
			list = options.Digital.Requests
		}
	}
	var out []Request
	if err := json.Unmarshal(list, &out); err != nil {
		return nil, fmt.Errorf("%w: requests of the page are no list of objects with protocol and data (Digital Credentials, 4)", ErrMalformed)
	}
	if len(out) == 0 || len(out) > maxEntries {
		return nil, fmt.Errorf("%w: %d requests of the page, from 1 to %d (Digital Credentials, 4)", ErrMalformed, len(out), maxEntries)
	}
	for i, r := range out {
		if r.Protocol == "" || len(r.Protocol) > maxProtocol || !isObject(r.Data) {
			return nil, fmt.Errorf("%w: request %d of the page has no protocol, or data that is no object (Digital Credentials, 4)", ErrMalformed, i)
		}
	}
	return out, nil
}

// ParseResponse reads what the browser gave the page, as the page passes it on
// to its server. Errors wrap ErrMalformed.
func ParseResponse(raw []byte) (Response, error) {
	var r Response
	if err := jose.Unmarshal(raw, &r, jose.Limits{Token: MaxResponse}); err != nil {
		return r, fmt.Errorf("%w: response of the browser: %w", ErrMalformed, err)
	}
	if r.Protocol == "" || len(r.Protocol) > maxProtocol || !isObject(r.Data) {
		return r, fmt.Errorf("%w: response of the browser without protocol, or with data that is no object (Digital Credentials, 5)", ErrMalformed)
	}
	return r, nil
}

// isObject reports whether a JSON value is an object.
func isObject(data json.RawMessage) bool { return len(data) > 0 && data[0] == '{' }

package attestation

import (
	"fmt"
	"net/url"
	"time"

	"github.com/eidos-id/eidos/format/jose"
)

// StatusReference points to one entry of a token status list.
//
//	{"status_list": {"idx": 7, "uri": "https://…"}}
//
// draft-ietf-oauth-status-list, 6.1.
type StatusReference struct {
	Index uint64 `json:"idx"`
	URI   string `json:"uri"`
}

// Status says where the revocation of an instance or of a key store is
// published, and until when the provider keeps it up to date. The zero Status
// means that none was stated; a zero Ends that only the reference was, as
// OpenID4VCI 1.0 alone has it.
//
// EUDI TS3 1.5, 2.3.1 (client_status) and 2.3.2 (key_storage_status).
type Status struct {
	Reference StatusReference `json:"reference"`
	Ends      time.Time       `json:"ends"` // whole seconds, UTC
}

// IsZero reports whether no status was stated.
func (s Status) IsZero() bool { return s.Reference.URI == "" && s.Ends.IsZero() }

// maxURL limits the URLs in attestations.
const maxURL = 2048

// statusClaim is the claim "status" of OpenID4VCI 1.0, D.1 and Appendix E.
type statusClaim struct {
	List *struct {
		Index *uint64 `json:"idx"`
		URI   string  `json:"uri"`
	} `json:"status_list"`
}

// heldStatusClaim is the claim "client_status" or "key_storage_status" of
// EUDI TS3 1.5, 2.3.
type heldStatusClaim struct {
	Status *statusClaim     `json:"status"`
	Ends   jose.NumericDate `json:"exp"`
}

// claims returns the status as both claims, nil when there is none.
func (s Status) claims() (*statusClaim, *heldStatusClaim) {
	if s.IsZero() {
		return nil, nil
	}
	plain := &statusClaim{}
	plain.List = &struct {
		Index *uint64 `json:"idx"`
		URI   string  `json:"uri"`
	}{&s.Reference.Index, s.Reference.URI}
	if s.Ends.IsZero() {
		return plain, nil
	}
	return plain, &heldStatusClaim{Status: plain, Ends: jose.NewDate(s.Ends)}
}

// readStatus prefers TS3's claim, which states the end. A "status" of another
// mechanism than the status list is left alone: it is optional.
func readStatus(plain *statusClaim, held *heldStatusClaim) (Status, error) {
	if held != nil {
		if held.Status == nil || held.Ends == 0 {
			return Status{}, fmt.Errorf("status claim without status or exp")
		}
		ref, err := held.Status.reference()
		if err == nil && ref.URI == "" {
			err = fmt.Errorf("status claim without status_list")
		}
		if err != nil {
			return Status{}, err
		}
		return Status{Reference: ref, Ends: held.Ends.Time()}, nil
	}
	if plain == nil {
		return Status{}, nil
	}
	ref, err := plain.reference()
	return Status{Reference: ref}, err
}

func (c *statusClaim) reference() (StatusReference, error) {
	if c.List == nil {
		return StatusReference{}, nil
	}
	if c.List.Index == nil {
		return StatusReference{}, fmt.Errorf("status_list without idx")
	}
	if err := checkLink(c.List.URI); err != nil {
		return StatusReference{}, fmt.Errorf("status_list: %w", err)
	}
	return StatusReference{Index: *c.List.Index, URI: c.List.URI}, nil
}

// checkLink refuses what is not an absolute web URL. Which hosts may be
// fetched, and whether without TLS, is for the fetcher to decide.
func checkLink(s string) error {
	if len(s) > maxURL {
		return fmt.Errorf("URL of %d characters, limit %d", len(s), maxURL)
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		return fmt.Errorf("not an absolute http(s) URL")
	}
	return nil
}

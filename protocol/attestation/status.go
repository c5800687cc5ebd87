package attestation

import "time"

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
// means that none was stated.
//
// EUDI TS3 1.5, 2.3.1 (client_status) and 2.3.2 (key_storage_status).
type Status struct {
	Reference StatusReference
	Ends      time.Time // whole seconds, UTC
}

// IsZero reports whether no status was stated.
func (s Status) IsZero() bool { return s.Reference.URI == "" && s.Ends.IsZero() }

package oid4vp

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/eidos-id/eidos/format/jose"
)

// VerifierInfo is what somebody says of the verifier, such as a registration
// certificate. OpenID4VP 1.0, 5.1 and 5.11.
type VerifierInfo struct {
	// Format says how to read Data, a JSON string or object.
	Format string          `json:"format"`
	Data   json.RawMessage `json:"data"`
	// CredentialIDs are those of the query that it is about; nil: all.
	CredentialIDs []string `json:"credential_ids,omitempty"`
}

// maxInfo limits verifier_info and transaction_data in their number.
const maxInfo = 16

// parseInfo reads verifier_info. Of formats that are not known the form alone
// is checked. OpenID4VP 1.0, 5.1.
func parseInfo(raw json.RawMessage, known func(id string) bool) ([]VerifierInfo, error) {
	if raw == nil {
		return nil, nil
	}
	var list []VerifierInfo
	if err := jose.Unmarshal(raw, &list, jose.Limits{Token: maxRequest}); err != nil {
		return nil, fail(InvalidRequest, "verifier_info: %w (OpenID4VP 1.0, 5.1)", err)
	}
	return list, checkInfo(list, known)
}

func checkInfo(list []VerifierInfo, known func(id string) bool) error {
	if n := len(list); n == 0 || n > maxInfo {
		return fail(InvalidRequest, "verifier_info with %d entries, from 1 to %d (OpenID4VP 1.0, 5.1)", n, maxInfo)
	}
	for i, v := range list {
		data := bytes.TrimSpace(v.Data)
		switch {
		case v.Format == "":
			return fail(InvalidRequest, "verifier_info[%d] without format (OpenID4VP 1.0, 5.1)", i)
		case len(data) == 0 || data[0] != '"' && data[0] != '{':
			return fail(InvalidRequest, "verifier_info[%d]: data is no string and no object (OpenID4VP 1.0, 5.1)", i)
		}
		if err := checkIDs(v.CredentialIDs, v.CredentialIDs != nil, known); err != nil {
			return fail(InvalidRequest, "verifier_info[%d]: %w (OpenID4VP 1.0, 5.1)", i, err)
		}
	}
	return nil
}

// checkIDs wants credential_ids to name credentials of the query.
func checkIDs(ids []string, present bool, known func(id string) bool) error {
	if present && len(ids) == 0 {
		return fmt.Errorf("credential_ids is empty")
	}
	for _, id := range ids {
		if !known(id) {
			return fmt.Errorf("credential_ids names what is not asked for")
		}
	}
	return nil
}

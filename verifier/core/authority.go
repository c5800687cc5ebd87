package core

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/protocol/query"
)

// authorities says whether the signer of a document, whose chain is in order,
// stands under one of the authorities that were asked for: a wallet need not heed
// them, and might not. A key identifier is looked for in the chain. ETSI trusted
// lists and federations are not resolved here; where such are among those asked
// for, and no key identifier fits, nothing can be said.
//
// OpenID4VP 1.0, 6.1.1 and 8.6; ISO/IEC 18013-5 second edition (draft v4), 10.2.8.
func authorities(asked *query.Credential, signer *assure.Signer, r *check.Report) {
	const name, clause = "trusted authorities", "OpenID4VP 1.0, 6.1.1"
	if len(asked.Authorities) == 0 {
		return
	}
	var behind, unresolved []string
	for _, der := range signer.Path.Chain {
		if cert, err := pki.ParseCertificate(der); err == nil && len(cert.AuthorityKeyId) > 0 {
			behind = append(behind, base64.RawURLEncoding.EncodeToString(cert.AuthorityKeyId))
		}
	}
	for _, a := range asked.Authorities {
		if a.Type != query.AuthorityAKI {
			unresolved = append(unresolved, a.Type)
			continue
		}
		for _, id := range behind {
			if id == a.Value {
				r.Pass(name, clause, "aki "+a.Value)
				return
			}
		}
	}
	if len(unresolved) > 0 {
		r.Skip(name, clause, fmt.Sprintf("%.80s cannot be resolved here, and no key identifier fits", strings.Join(unresolved, ", ")))
		return
	}
	r.Fail(name, clause, fmt.Sprintf("aki %.200s", strings.Join(behind, ", ")), "the document is of another authority than was asked for; ask again, or for others too")
}

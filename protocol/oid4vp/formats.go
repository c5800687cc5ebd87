package oid4vp

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/protocol/query"
)

// The algorithms that documents are verified with: keys on P-256, P-384, P-521
// and Ed25519. RFC 9053, 2.1; RFC 9864, 2.1 and 2.2. The keys of our own app
// are on P-256.
var (
	coseAlgorithms = []int{-7, -9, -35, -51, -36, -52, -8, -19}
	joseAlgorithms = []string{"ES256", "ES384", "ES512", "Ed25519"}
	coseHolder     = []int{-7, -9}
	joseHolder     = []string{"ES256"}
)

// The formats and algorithms of both ends. OpenID4VP 1.0, B.2.2 and B.3.4.
var (
	vpFormats     = formats(coseAlgorithms, joseAlgorithms)
	walletFormats = formats(coseHolder, joseHolder)
)

// formats is vp_formats_supported with the algorithms of device keys, by COSE
// number and JOSE name.
func formats(cose []int, jose []string) json.RawMessage {
	type mdoc struct {
		Issuer []int `json:"issuerauth_alg_values"`
		Device []int `json:"deviceauth_alg_values"`
	}
	type sdjwt struct {
		Issuer []string `json:"sd-jwt_alg_values"`
		Holder []string `json:"kb-jwt_alg_values"`
	}
	b, err := json.Marshal(struct {
		Mdoc  mdoc  `json:"mso_mdoc"`
		SDJWT sdjwt `json:"dc+sd-jwt"`
	}{mdoc{coseAlgorithms, cose}, sdjwt{joseAlgorithms, jose}})
	if err != nil {
		panic(err) // numbers and strings
	}
	return b
}

// commonFormat reports whether what a verifier says of a format leaves an
// algorithm for issuers, and one for the keys of our app. An absent list
// excludes none.
func commonFormat(said json.RawMessage) bool {
	var lists map[string]json.RawMessage
	if json.Unmarshal(said, &lists) != nil {
		return false
	}
	return common(lists["issuerauth_alg_values"], coseAlgorithms) && common(lists["deviceauth_alg_values"], coseHolder) &&
		common(lists["sd-jwt_alg_values"], append([]string{"EdDSA"}, joseAlgorithms...)) && // what Ed25519 was called before RFC 9864
		common(lists["kb-jwt_alg_values"], joseHolder)
}

func common[T comparable](said json.RawMessage, ours []T) bool {
	if said == nil {
		return true
	}
	var theirs []T
	return json.Unmarshal(said, &theirs) == nil && slices.ContainsFunc(theirs, func(a T) bool { return slices.Contains(ours, a) })
}

// checkFormats wants one of the formats asked for to be one that the verifier
// takes, and that is known here. OpenID4VP 1.0, 8.5.
func checkFormats(q query.Query, m clientMetadata) error {
	var asked []string
	for _, c := range q.Credentials {
		said, listed := m.Formats[c.Format]
		if c.Format != query.FormatMdoc && c.Format != query.FormatSDJWT || m.Formats != nil && !(listed && commonFormat(said)) {
			asked = append(asked, c.Format)
			continue
		}
		return nil
	}
	slices.Sort(asked)
	return fail(FormatsNotSupported, "asked for is %.200s: not known here, or not in vp_formats_supported with algorithms in common (OpenID4VP 1.0, 8.5)", strings.Join(slices.Compact(asked), ", "))
}

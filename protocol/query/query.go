// Package query is what a verifier asks and how a holder's documents answer
// it, apart from the dialect the question came in.
//
// A DeviceRequest of ISO/IEC 18013-5 ([FromDeviceRequest]) and a DCQL query of
// OpenID4VP ([ParseDCQL]) both become one [Query]. [Make] matches it with what
// is held and gives one [Plan], which one consent screen shows; the holder's
// [Selection] then goes to a builder that answers in the dialect asked.
package query

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrQuery is wrapped by every error about a query that breaks a rule of its
// dialect.
var ErrQuery = errors.New("query not valid")

// The formats of documents, by their OpenID4VC identifiers.
const (
	FormatMdoc  = "mso_mdoc"
	FormatSDJWT = "dc+sd-jwt"
)

// Query is what is asked: documents with claims, and how they belong together.
type Query struct {
	// Credentials are the wanted documents, ids distinct.
	Credentials []Credential
	// Sets say which combinations answer the query. Empty means that all
	// credentials are wanted.
	Sets []Set
	// NonEmpty says that an answer without any document is none. A DCQL query
	// of optional sets only may be answered with nothing; a DeviceRequest not.
	NonEmpty bool
}

// Credential asks for one document, or for several with Multiple.
type Credential struct {
	// ID is DCQL's id, or the DocRequestID in decimal.
	ID     string
	Format string
	// Types are the acceptable docTypes or vct values; empty means any.
	Types []string
	// Claims are the wanted claims. None means that nothing is asked that the
	// holder could withhold.
	Claims []Claim
	// ClaimSets are alternatives of indexes into Claims in the verifier's
	// order of preference. Empty means all Claims.
	ClaimSets [][]int
	// Multiple lets more than one document answer.
	Multiple bool
	// Unbound lets a document answer that is bound to no key.
	Unbound bool
	// Authorities: the document's issuer has to match one, if there are any.
	Authorities []Authority
	// Partial answers with the claims there are when some are missing, as
	// ISO/IEC 18013-5:2021 does.
	Partial bool
	// NearestAge answers age_over_NN with the nearest statement held.
	// ISO/IEC 18013-5:2021, 7.2.5.
	NearestAge bool
	// MaxResponse bounds the answer in bytes; 0 is no bound.
	MaxResponse uint64
	// Unsupported says, for a person, what the verifier requires that nothing
	// here can give: then no document answers. Empty if there is no such thing.
	Unsupported string
}

// Claim asks for one claim.
type Claim struct {
	// ID is DCQL's claim id; may be empty.
	ID   string
	Path Path
	// Values are the acceptable values: string, int64 or bool. None means any.
	Values []any
	// Retain says that the verifier means to keep the claim.
	Retain bool
	// Alternatives are sets of claims of which a complete one may stand in, in
	// order of preference. ISO/IEC 18013-5 second edition (draft v4), 10.2.4.
	Alternatives [][]Path
}

// Set is a group of alternatives, one of which is to be returned.
type Set struct {
	Required bool
	// Options are alternatives of credential ids in order of preference.
	Options [][]string
	// Purposes are the verifier's reasons, for the consent screen: texts, or
	// "controller:code" of a purpose hint.
	Purposes []string
}

// AuthorityAKI is the type of an [Authority] that is a key identifier.
const AuthorityAKI = "aki"

// Authority is something that stands behind a document's issuer: Type "aki"
// with the base64url key identifier of a certificate of the chain, or
// "etsi_tl", "openid_federation". OpenID4VP 1.0, 6.1.1.
type Authority struct{ Type, Value string }

// Path leads to a claim: a string selects a member, a non-negative int an
// array element, nil all elements. In an mdoc it is name space and element.
//
// OpenID4VP 1.0, 7.
type Path []any

// Element is the path of an mdoc's data element.
func Element(nameSpace, id string) Path { return Path{nameSpace, id} }

// String is the path with dots, * for all elements.
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		switch s := s.(type) {
		case string:
			b.WriteString(s)
		case int:
			b.WriteString(strconv.Itoa(s))
		default:
			b.WriteByte('*')
		}
	}
	return b.String()
}

// Equal reports whether both paths are the same, step by step.
func (p Path) Equal(o Path) bool { return slices.Equal(p, o) }

// Select returns the values that the path selects in JSON-like data (maps,
// slices, scalars). An empty selection is an error.
//
// OpenID4VP 1.0, 7.1.1.
func (p Path) Select(data any) ([]any, error) {
	selected := []any{data}
	for _, step := range p {
		var next []any
		for _, v := range selected {
			switch step := step.(type) {
			case string:
				m, ok := v.(map[string]any)
				if !ok {
					return nil, fmt.Errorf("%w: %s: not an object (OpenID4VP 1.0, 7.1.1)", ErrQuery, p)
				}
				if x, ok := m[step]; ok {
					next = append(next, x)
				}
			case int, nil:
				a, ok := v.([]any)
				if !ok {
					return nil, fmt.Errorf("%w: %s: not an array (OpenID4VP 1.0, 7.1.1)", ErrQuery, p)
				}
				if i, one := step.(int); !one {
					next = append(next, a...)
				} else if i < len(a) {
					next = append(next, a[i])
				}
			}
		}
		if selected = next; len(selected) == 0 {
			return nil, fmt.Errorf("%w: %s selects nothing (OpenID4VP 1.0, 7.1.1)", ErrQuery, p)
		}
	}
	return selected, nil
}

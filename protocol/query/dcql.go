package query

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
)

// Limits of a DCQL query, far above what a person could consent to.
const (
	maxQuery       = 64 << 10 // bytes
	maxCredentials = 32
	maxClaims      = 256
	maxOptions     = 64
	maxPath        = 16
)

// The wire form of DCQL, in the order of OpenID4VP 1.0, 6. Members that are
// absent and members that are empty are told apart: the latter are errors.
type dcql struct {
	Credentials    []dcqlCredential `json:"credentials"`
	CredentialSets *[]dcqlSet       `json:"credential_sets,omitempty"`
}

type dcqlCredential struct {
	ID                 string                      `json:"id"`
	Format             string                      `json:"format"`
	Multiple           *bool                       `json:"multiple,omitempty"`
	Meta               *map[string]json.RawMessage `json:"meta"`
	TrustedAuthorities *[]dcqlAuthority            `json:"trusted_authorities,omitempty"`
	Binding            *bool                       `json:"require_cryptographic_holder_binding,omitempty"`
	Claims             *[]dcqlClaim                `json:"claims,omitempty"`
	ClaimSets          *[][]string                 `json:"claim_sets,omitempty"`
}

type dcqlAuthority struct {
	Type   string   `json:"type"`
	Values []string `json:"values"`
}

type dcqlClaim struct {
	ID     string             `json:"id,omitempty"`
	Path   []json.RawMessage  `json:"path"`
	Values *[]json.RawMessage `json:"values,omitempty"`
	Retain bool               `json:"intent_to_retain,omitempty"`
}

type dcqlSet struct {
	Options  [][]string      `json:"options"`
	Required *bool           `json:"required,omitempty"`
	Purpose  json.RawMessage `json:"purpose,omitempty"`
}

// ParseDCQL parses a dcql_query. Unknown members are ignored; every rule that
// the query breaks is an error wrapping [ErrQuery] that names the place.
//
// OpenID4VP 1.0, 6 and 7, B.2.3 and B.3.5.
func ParseDCQL(data []byte) (Query, error) {
	var w dcql
	if err := jose.Unmarshal(data, &w, jose.Limits{Token: maxQuery}); err != nil {
		return Query{}, fmt.Errorf("%w: dcql_query: %w (OpenID4VP 1.0, 6)", ErrQuery, err)
	}
	if n := len(w.Credentials); n == 0 || n > maxCredentials {
		return Query{}, bad("%d credentials, from 1 to %d (OpenID4VP 1.0, 6)", n, maxCredentials)
	}
	var q Query
	seen := make(map[string]bool)
	for i := range w.Credentials {
		c, err := w.Credentials[i].credential()
		if err != nil {
			return Query{}, fmt.Errorf("credentials[%d]: %w", i, err)
		}
		if seen[c.ID] {
			return Query{}, bad("credentials[%d]: id used twice (OpenID4VP 1.0, 6.1)", i)
		}
		seen[c.ID] = true
		q.Credentials = append(q.Credentials, c)
	}
	if w.CredentialSets == nil {
		return q, nil
	}
	if n := len(*w.CredentialSets); n == 0 || n > maxOptions {
		return Query{}, bad("%d credential_sets, from 1 to %d (OpenID4VP 1.0, 6)", n, maxOptions)
	}
	for i, s := range *w.CredentialSets {
		set, err := s.set(seen)
		if err != nil {
			return Query{}, fmt.Errorf("credential_sets[%d]: %w", i, err)
		}
		q.Sets = append(q.Sets, set)
	}
	return q, nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrQuery}, args...)...)
}

// validID says whether id is alphanumeric, underscore or hyphen, not empty.
func validID(id string) bool {
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 128
}

func (w *dcqlCredential) credential() (Credential, error) {
	c := Credential{ID: w.ID, Format: w.Format}
	switch {
	case !validID(w.ID):
		return c, bad("id is not of letters, digits, _ and - (OpenID4VP 1.0, 6.1)")
	case w.Format == "":
		return c, bad("format is missing (OpenID4VP 1.0, 6.1)")
	case w.Meta == nil:
		return c, bad("meta is missing (OpenID4VP 1.0, 6.1)")
	}
	c.Multiple = w.Multiple != nil && *w.Multiple
	c.Unbound = w.Binding != nil && !*w.Binding
	var err error
	if c.Types, err = types(w.Format, *w.Meta); err != nil {
		return c, err
	}
	if w.TrustedAuthorities != nil {
		if n := len(*w.TrustedAuthorities); n == 0 || n > maxOptions {
			return c, bad("%d trusted_authorities, from 1 to %d (OpenID4VP 1.0, 6.1.1)", n, maxOptions)
		}
		for _, a := range *w.TrustedAuthorities {
			if a.Type == "" || len(a.Values) == 0 || len(a.Values) > maxClaims {
				return c, bad("trusted_authorities entry without type or values (OpenID4VP 1.0, 6.1.1)")
			}
			for _, v := range a.Values {
				c.Authorities = append(c.Authorities, authority(a.Type, v))
			}
		}
		if n := len(c.Authorities); n > maxClaims {
			return c, bad("%d values of trusted_authorities, at most %d (OpenID4VP 1.0, 6.1.1)", n, maxClaims)
		}
	}
	return c, w.claims(&c)
}

// authority is one value of a trusted authorities query. Of a key identifier
// the bytes count: padding and loose bits at the end do not.
//
// OpenID4VP 1.0, 6.1.1.1.
func authority(kind, value string) Authority {
	if kind == AuthorityAKI {
		if id, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "=")); err == nil {
			value = base64.RawURLEncoding.EncodeToString(id)
		}
	}
	return Authority{kind, value}
}

// types takes the acceptable document types out of meta, whose members depend
// on the format. For mdoc an absent doctype_value is let pass as any type:
// deployed verifiers leave it out.
func types(format string, meta map[string]json.RawMessage) ([]string, error) {
	switch format {
	case FormatMdoc:
		raw, ok := meta["doctype_value"]
		if !ok {
			return nil, nil
		}
		var s string
		if json.Unmarshal(raw, &s) != nil || s == "" {
			return nil, bad("doctype_value is not a string (OpenID4VP 1.0, B.2.3)")
		}
		return []string{s}, nil
	case FormatSDJWT:
		var vcts []string
		if json.Unmarshal(meta["vct_values"], &vcts) != nil || len(vcts) == 0 || len(vcts) > maxOptions {
			return nil, bad("vct_values is not a non-empty array of strings (OpenID4VP 1.0, B.3.5)")
		}
		return vcts, nil
	}
	return nil, nil // a format we do not hold; other credentials may still answer
}

func (w *dcqlCredential) claims(c *Credential) error {
	ids := make(map[string]int)
	if w.Claims != nil {
		if n := len(*w.Claims); n == 0 || n > maxClaims {
			return bad("%d claims, from 1 to %d (OpenID4VP 1.0, 6.1)", n, maxClaims)
		}
		for i, wc := range *w.Claims {
			cl, err := wc.claim(c.Format)
			if err != nil {
				return fmt.Errorf("claims[%d]: %w", i, err)
			}
			switch {
			case cl.ID == "" && w.ClaimSets != nil:
				return bad("claims[%d]: id is missing beside claim_sets (OpenID4VP 1.0, 6.3)", i)
			case cl.ID != "":
				if _, dup := ids[cl.ID]; dup || !validID(cl.ID) {
					return bad("claims[%d]: id used twice or with other characters (OpenID4VP 1.0, 6.3)", i)
				}
				ids[cl.ID] = i
			}
			c.Claims = append(c.Claims, cl)
		}
	}
	if w.ClaimSets == nil {
		return nil
	}
	if n := len(*w.ClaimSets); n == 0 || n > maxOptions || w.Claims == nil {
		return bad("%d claim_sets, from 1 to %d, and only beside claims (OpenID4VP 1.0, 6.1)", n, maxOptions)
	}
	for i, names := range *w.ClaimSets {
		set := make([]int, 0, len(names))
		for _, name := range names {
			idx, ok := ids[name]
			if !ok {
				return bad("claim_sets[%d] names a claim that is not there (OpenID4VP 1.0, 6.1)", i)
			}
			set = append(set, idx)
		}
		if len(set) == 0 {
			return bad("claim_sets[%d] is empty (OpenID4VP 1.0, 6.1)", i)
		}
		c.ClaimSets = append(c.ClaimSets, set)
	}
	return nil
}

func (w *dcqlClaim) claim(format string) (Claim, error) {
	c := Claim{ID: w.ID, Retain: w.Retain}
	if n := len(w.Path); n == 0 || n > maxPath {
		return c, bad("path of %d steps, from 1 to %d (OpenID4VP 1.0, 7)", n, maxPath)
	}
	for _, raw := range w.Path {
		step, err := scalar(raw)
		if err != nil {
			return c, fmt.Errorf("path: %w", err)
		}
		switch s := step.(type) {
		case int64:
			if s < 0 || s > math.MaxInt32 {
				return c, bad("path: array index out of range (OpenID4VP 1.0, 7)")
			}
			step = int(s)
		case bool:
			return c, bad("path: a step is string, null or non-negative integer (OpenID4VP 1.0, 7)")
		}
		c.Path = append(c.Path, step)
	}
	if format == FormatMdoc {
		if len(c.Path) != 2 {
			return c, bad("path of %d steps in an mdoc, which has 2 (OpenID4VP 1.0, 7.2)", len(c.Path))
		}
		for _, s := range c.Path {
			if _, ok := s.(string); !ok {
				return c, bad("path of an mdoc with a step that is no string (OpenID4VP 1.0, 7.2)")
			}
		}
	}
	if w.Values == nil {
		return c, nil
	}
	if n := len(*w.Values); n == 0 || n > maxOptions {
		return c, bad("%d values, from 1 to %d (OpenID4VP 1.0, 6.3)", n, maxOptions)
	}
	for _, raw := range *w.Values {
		v, err := scalar(raw)
		if err != nil || v == nil {
			return c, bad("values are strings, integers and booleans (OpenID4VP 1.0, 6.3)")
		}
		c.Values = append(c.Values, v)
	}
	return c, nil
}

// scalar decodes a JSON string, integer (int64), boolean or null (nil).
func scalar(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, bad("%v", err)
	}
	switch v := v.(type) {
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return nil, bad("number that is no integer")
		}
		return n, nil
	case string, bool, nil:
		return v, nil
	}
	return nil, bad("array or object where a scalar belongs")
}

func (w *dcqlSet) set(known map[string]bool) (Set, error) {
	s := Set{Required: w.Required == nil || *w.Required, Options: w.Options}
	if n := len(w.Options); n == 0 || n > maxOptions {
		return s, bad("%d options, from 1 to %d (OpenID4VP 1.0, 6.2)", n, maxOptions)
	}
	for _, o := range w.Options {
		if len(o) == 0 {
			return s, bad("an option is empty (OpenID4VP 1.0, 6.2)")
		}
		for _, id := range o {
			if !known[id] {
				return s, bad("an option names a credential that is not there (OpenID4VP 1.0, 6.2)")
			}
		}
	}
	var text string
	if len(w.Purpose) > 0 && json.Unmarshal(w.Purpose, &text) == nil && text != "" {
		s.Purposes = []string{text}
	}
	return s, nil
}

// MarshalDCQL writes q as a dcql_query. What only ISO/IEC 18013-5 can say
// (alternatives, partial answers, nearest age) is left out.
func (q Query) MarshalDCQL() ([]byte, error) {
	var w dcql
	for _, c := range q.Credentials {
		wc, err := c.wire()
		if err != nil {
			return nil, fmt.Errorf("credential %s: %w", c.ID, err)
		}
		w.Credentials = append(w.Credentials, wc)
	}
	if len(q.Sets) > 0 {
		sets := make([]dcqlSet, 0, len(q.Sets))
		for _, s := range q.Sets {
			ws := dcqlSet{Options: s.Options}
			if !s.Required {
				ws.Required = &s.Required
			}
			if len(s.Purposes) > 0 {
				ws.Purpose, _ = json.Marshal(s.Purposes[0]) // a string always encodes
			}
			sets = append(sets, ws)
		}
		w.CredentialSets = &sets
	}
	data, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	if _, err := ParseDCQL(data); err != nil {
		return nil, err
	}
	return data, nil
}

func (c *Credential) wire() (dcqlCredential, error) {
	w := dcqlCredential{ID: c.ID, Format: c.Format}
	meta := make(map[string]json.RawMessage)
	switch c.Format {
	case FormatMdoc:
		if len(c.Types) != 1 {
			return w, bad("%d document types where an mdoc query names one (OpenID4VP 1.0, B.2.3)", len(c.Types))
		}
		meta["doctype_value"], _ = json.Marshal(c.Types[0])
	case FormatSDJWT:
		meta["vct_values"], _ = json.Marshal(c.Types)
	default:
		return w, bad("documents of format %.40q cannot be asked for", c.Format)
	}
	w.Meta = &meta
	if c.Multiple {
		w.Multiple = &c.Multiple
	}
	if bound := !c.Unbound; !bound {
		w.Binding = &bound
	}
	var authorities []dcqlAuthority
	for _, a := range c.Authorities {
		if n := len(authorities); n > 0 && authorities[n-1].Type == a.Type {
			authorities[n-1].Values = append(authorities[n-1].Values, a.Value)
			continue
		}
		authorities = append(authorities, dcqlAuthority{a.Type, []string{a.Value}})
	}
	if authorities != nil {
		w.TrustedAuthorities = &authorities
	}
	var claims []dcqlClaim
	for i, cl := range c.Claims {
		if slices.ContainsFunc(c.Claims[:i], func(o Claim) bool { return o.Path.Equal(cl.Path) }) {
			return w, bad("%s is asked for twice (OpenID4VP 1.0, 6.1)", cl.Path)
		}
		wc := dcqlClaim{ID: cl.ID, Retain: cl.Retain}
		for _, s := range cl.Path {
			raw, err := json.Marshal(s)
			if err != nil {
				return w, bad("path: %v", err)
			}
			wc.Path = append(wc.Path, raw)
		}
		var values []json.RawMessage
		for _, v := range cl.Values {
			raw, err := json.Marshal(v)
			if err != nil {
				return w, bad("values: %v", err)
			}
			values = append(values, raw)
		}
		if values != nil {
			wc.Values = &values
		}
		claims = append(claims, wc)
	}
	if claims != nil {
		w.Claims = &claims
	}
	var sets [][]string
	for _, s := range c.ClaimSets {
		var names []string
		for _, i := range s {
			if i < 0 || i >= len(c.Claims) {
				return w, bad("claim set names claim %d of %d", i, len(c.Claims))
			}
			names = append(names, c.Claims[i].ID)
		}
		sets = append(sets, names)
	}
	if sets != nil {
		w.ClaimSets = &sets
	}
	return w, nil
}

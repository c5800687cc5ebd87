package sdjwt

import (
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
)

// ParseJSON reads the JWS JSON serialisation, flattened or general, with the
// disclosures and the key binding JWT in the unprotected header. The result is
// that of [Parse] for its compact form. Of several signatures the first counts,
// which is the one that has the disclosures.
//
// RFC 9901, 8.
func ParseJSON(data []byte, limits Limits) (*SDJWT, error) {
	lim := limits.or()
	if len(data) > lim.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrLimit, len(data), lim.Bytes)
	}
	// For the strictness; whether algorithms are supported is for Parse to say.
	if _, err := jose.ParseJSON(data, jose.Limits{Token: lim.Bytes, Depth: lim.Depth, Members: lim.Members}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	r := reader{plain: true, members: lim.Members}
	whole, err := r.readJSON(data, lim)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	first := whole
	if list := whole.member("signatures"); list != nil {
		first = list.elements[0].value
		for _, e := range list.elements[1:] {
			for _, name := range [...]string{"disclosures", "kb_jwt"} {
				if e.value.member("header").hasMember(name) {
					return nil, fmt.Errorf("%w: %q in a header other than the first (RFC 9901, 8.3)", ErrSyntax, name)
				}
			}
		}
	}
	parts := make([]string, 0, 8)
	var jwt [3]string
	for i, n := range [...]*node{first.member("protected"), whole.member("payload"), first.member("signature")} {
		var ok bool
		if jwt[i], ok = n.text(); !ok {
			return nil, fmt.Errorf("%w: no protected header, payload or signature (RFC 7515, 7.2)", ErrSyntax)
		}
	}
	parts = append(parts, strings.Join(jwt[:], "."))
	header := first.member("header")
	if header.hasMember("disclosures") {
		list := header.member("disclosures")
		if list.kind != '[' {
			return nil, fmt.Errorf("%w: \"disclosures\" is no array (RFC 9901, 8.1)", ErrSyntax)
		}
		for i := range list.elements {
			d, ok := list.elements[i].value.text()
			if !ok || strings.Contains(d, "~") {
				return nil, fmt.Errorf("%w: \"disclosures\" with an element that is none (RFC 9901, 8.1)", ErrSyntax)
			}
			parts = append(parts, d)
		}
	}
	kb := ""
	if header.hasMember("kb_jwt") {
		var ok bool
		if kb, ok = header.member("kb_jwt").text(); !ok || kb == "" || strings.Contains(kb, "~") {
			return nil, fmt.Errorf("%w: \"kb_jwt\" is none (RFC 9901, 8.1)", ErrSyntax)
		}
	}
	return Parse(strings.Join(append(parts, kb), "~"), lim)
}

func (n *node) hasMember(name string) bool { return n != nil && n.member(name) != nil }

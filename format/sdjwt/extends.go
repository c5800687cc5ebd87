package sdjwt

import (
	"fmt"
	"slices"
)

// MissingTypeError says that a type metadata document is needed that was not
// handed in. The caller may get it and try again.
type MissingTypeError struct {
	VCT string
}

func (e *MissingTypeError) Error() string {
	return fmt.Sprintf("type metadata of %.256q is needed (SD-JWT VC draft 18, 4.4)", e.VCT)
}

// maxExtends bounds the chain of types that extend each other.
const maxExtends = 8

// ResolveType returns the metadata of a type after applying what it extends.
// documents are the documents at hand by the type that they were fetched for.
// Each is compared with the integrity value that names it, which is integrity
// ("vct#integrity", may be empty) for the first. Errors: *[MissingTypeError],
// [ErrIntegrity], and [ErrMetadata] for malformed documents, a document of
// another type, a circle, and what an extending type must not change.
//
// SD-JWT VC draft 18, 4.3, 4.4 and 5.
func ResolveType(vct, integrity string, documents map[string][]byte) (*TypeMetadata, error) {
	var chain []*TypeMetadata // the type itself, then what it extends
	for next := vct; next != ""; {
		if len(chain) == maxExtends {
			return nil, fmt.Errorf("%w: more than %d types extend each other", ErrMetadata, maxExtends)
		}
		document, ok := documents[next]
		if !ok {
			return nil, &MissingTypeError{next}
		}
		if integrity != "" {
			if err := CheckIntegrity(integrity, document); err != nil {
				return nil, fmt.Errorf("type %.256q: %w", next, err)
			}
		}
		m, err := ParseTypeMetadata(document)
		if err != nil {
			return nil, fmt.Errorf("type %.256q: %w", next, err)
		}
		if m.VCT != next {
			return nil, fmt.Errorf("%w: document of %.256q has vct %.256q (SD-JWT VC draft 18, 4.3)", ErrMetadata, next, m.VCT)
		}
		if slices.ContainsFunc(chain, func(o *TypeMetadata) bool { return o.VCT == m.VCT }) {
			return nil, fmt.Errorf("%w: type %.256q extends itself (SD-JWT VC draft 18, 6)", ErrMetadata, m.VCT)
		}
		chain = append(chain, m)
		next, integrity = m.Extends, m.ExtendsIntegrity
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%w: no type", ErrMetadata)
	}
	effective := chain[len(chain)-1]
	for i := len(chain) - 2; i >= 0; i-- {
		merged, err := chain[i].over(effective)
		if err != nil {
			return nil, fmt.Errorf("type %.256q: %w", chain[i].VCT, err)
		}
		effective = merged
	}
	return effective, nil
}

// over returns the extending type m with what it inherits from base.
//
// SD-JWT VC draft 18, 4.5.2 and 4.6.5.
func (m *TypeMetadata) over(base *TypeMetadata) (*TypeMetadata, error) {
	out := *m
	if out.Display == nil {
		out.Display = base.Display
	}
	out.Claims = slices.Clone(base.Claims)
	at := make(map[string]int, len(out.Claims))
	for i := range out.Claims {
		at[out.Claims[i].Path.String()] = i
	}
	for _, own := range m.Claims {
		i, inherited := at[own.Path.String()]
		if !inherited {
			out.Claims = append(out.Claims, own)
			continue
		}
		if err := own.extend(&out.Claims[i]); err != nil {
			return nil, err
		}
	}
	var p metadataReader
	p.distinctClaims(out.Claims)
	return &out, p.err
}

// extend puts c over the claim of an extended type.
func (c *ClaimMetadata) extend(base *ClaimMetadata) error {
	const clause = "SD-JWT VC draft 18, 4.6.5.1"
	if c.SD != "" {
		if (base.SD == Always || base.SD == Never) && c.SD != base.SD {
			return fmt.Errorf("%w: claim %s: sd %s where the extended type has %s (%s)", ErrMetadata, c.Path, c.SD, base.SD, clause)
		}
		base.SD = c.SD
	}
	if c.Mandatory != nil {
		if base.Mandatory != nil && *base.Mandatory && !*c.Mandatory {
			return fmt.Errorf("%w: claim %s: optional where the extended type has it mandatory (%s)", ErrMetadata, c.Path, clause)
		}
		base.Mandatory = c.Mandatory
	}
	if c.Display != nil {
		base.Display = c.Display
	}
	if c.SVGID != "" {
		base.SVGID = c.SVGID
	}
	return nil
}

package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/protocol/query"
)

// ErrRules is wrapped by every error about rules that cannot be read.
var ErrRules = errors.New("rules of consent not valid")

const (
	maxRules     = 256
	maxRulesSize = 64 << 10 // bytes
)

// Rules is a Consent that answers without asking anybody, as its owner has
// said before: for automation. A question that no rule fits is refused.
//
// In patterns * stands for any characters.
type Rules struct {
	// Share are looked at in turn: the first that fits decides.
	Share []Rule `yaml:"share"`
	// Issuers are patterns of names or identifiers of issuers that are trusted
	// at first use though nobody vouches for them; never one whose key has
	// changed.
	Issuers []string `yaml:"issuers"`
}

// Rule says what may be shared with whom.
type Rule struct {
	// Verifier is a pattern of the name, the identifier or the certificate's
	// fingerprint; empty fits everybody.
	Verifier string `yaml:"verifier"`
	// Vouched fits only verifiers that somebody trusted vouches for.
	Vouched bool `yaml:"vouched"`
	// Refuse shares nothing with whom the rule fits; what follows has no say.
	Refuse bool `yaml:"refuse"`
	// Documents are patterns of docTypes and vcts that may be shown; without
	// one, all.
	Documents []string `yaml:"documents"`
	// Claims are patterns of what may be shared, with dots between the steps:
	// org.iso.18013.5.1.age_over_18, address.locality; without one, all.
	Claims []string `yaml:"claims"`
	// Keep also shares what the verifier means to keep.
	Keep bool `yaml:"keep"`
	// Optional also shares what the verifier can do without.
	Optional bool `yaml:"optional"`
	// Authorise are the types of transaction data, to the letter, that may be
	// authorised, such as urn:eudi:sca:payment:1; without one, none.
	Authorise []string `yaml:"authorise"`
}

// ParseRules reads rules in YAML, strictly. Errors wrap ErrRules.
func ParseRules(data []byte) (Rules, error) {
	var r Rules
	if len(data) > maxRulesSize {
		return r, fmt.Errorf("%w: %d bytes, at most %d", ErrRules, len(data), maxRulesSize)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return r, nil
	}
	if err := yaml.Load(data, &r, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return Rules{}, fmt.Errorf("%w: %w", ErrRules, err)
	}
	if len(r.Share)+len(r.Issuers) > maxRules {
		return Rules{}, fmt.Errorf("%w: %d rules, at most %d", ErrRules, len(r.Share)+len(r.Issuers), maxRules)
	}
	for i, rule := range r.Share {
		if rule.Refuse && (rule.Documents != nil || rule.Claims != nil || rule.Keep || rule.Optional || rule.Authorise != nil) {
			return Rules{}, fmt.Errorf("%w: rule %d refuses, and says what to share", ErrRules, i+1)
		}
	}
	return r, nil
}

// Ask implements Consent.
func (r Rules) Ask(_ context.Context, q Question) (Answer, error) {
	switch q.Topic {
	case TopicShare:
		for _, rule := range r.Share {
			if a, fits := rule.answer(q); fits {
				return a, nil
			}
		}
		return Answer{}, nil
	case TopicTrust:
		known := slices.ContainsFunc(r.Issuers, func(p string) bool { return matches(p, q.Party.Name) || matches(p, q.Party.ID) })
		return Answer{Allow: known && !q.Changed}, nil
	}
	return Answer{}, fmt.Errorf("question about %q is not known", q.Topic)
}

// answer is what the rule says to a question, if it fits.
func (r Rule) answer(q Question) (a Answer, fits bool) {
	p := q.Party
	if r.Verifier != "" && !matches(r.Verifier, p.Name) && !matches(r.Verifier, p.ID) && !matches(r.Verifier, p.Fingerprint) ||
		r.Vouched && p.Standing != assure.ReaderTrusted {
		return Answer{}, false
	}
	if r.Refuse {
		return Answer{}, true
	}
	if slices.ContainsFunc(q.AuthorisedTypes, func(t string) bool { return !slices.Contains(r.Authorise, t) }) {
		return Answer{}, false
	}
	selection := q.Plan.First(r.Optional)
	if len(selection) == 0 {
		return Answer{}, false
	}
	for _, c := range selection {
		list := q.Choices[c.Credential]
		at := slices.IndexFunc(list, func(o Choice) bool { return o.Candidate.Held == c.Held })
		if at < 0 || !among(r.Documents, list[at].Document.DocType) {
			return Answer{}, false
		}
		if slices.ContainsFunc(c.Claims, func(d query.Disclosure) bool { return d.Retain && !r.Keep || !among(r.Claims, d.Path.String()) }) {
			return Answer{}, false
		}
	}
	return Answer{Allow: true, Selection: selection}, true
}

// among reports whether one of the patterns fits, or there is none.
func among(patterns []string, s string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, s) })
}

// matches reports whether a pattern fits all of s. Nothing fits what is empty.
func matches(pattern, s string) bool {
	first, rest, any := strings.Cut(pattern, "*")
	if s == "" || !any {
		return s != "" && pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		at := strings.Index(s, part) // the first place leaves most for the others
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return strings.HasSuffix(s, last)
}

// Package conf is what configurations check alike: addresses, tenants,
// durations, and that everything which is wrong is said at once.
package conf

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/web"
)

// Default sets a field that was left out.
func Default[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Problems are what is wrong with a configuration, in the words of its keys.
type Problems []error

// Add notes a problem.
func (p *Problems) Add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// AddError notes what is wrong with a key; nil is nothing.
func (p *Problems) AddError(key string, err error) {
	if err != nil {
		p.Add("%s: %w", key, err)
	}
}

// Within notes a duration that is out of bounds, inclusive.
func (p *Problems) Within(key string, value, low, high time.Duration) {
	if value < low || value > high {
		p.Add("%s: %v is not %v to %v", key, value, low, high)
	}
}

// Site notes a public URL that is no origin, and a demonstration away from
// loopback; demo says in a sentence what is wanted instead, empty if there is
// no demonstration.
func (p *Problems) Site(url, demo string) {
	if err := Origin(url); err != nil {
		p.Add("url: %w", err)
	} else if demo != "" && !Loopback(url) {
		p.Add("tenants: the demonstration is for loopback only; %s at %s", demo, url)
	}
}

// Length notes a text that is empty or longer than some bytes.
func (p *Problems) Length(key, value string, longest int) {
	if value == "" || len(value) > longest {
		p.Add("%s: wanted 1 to %d bytes", key, longest)
	}
}

// Country notes what is no country code of ISO 3166-1 alpha-2.
func (p *Problems) Country(key, value string) {
	if len(value) != 2 || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		p.Add("%s: wanted two upper-case letters of ISO 3166-1", key)
	}
}

// Tenants notes tenants that check finds something wrong with, and ids that
// are malformed or given twice.
func Tenants[T any](p *Problems, tenants []T, id func(T) string, check func(T) error) {
	seen := map[string]bool{}
	for i, t := range tenants {
		switch {
		case !IsTenant(id(t)):
			p.Add("tenants[%d].id: wanted 1 to 32 lower-case letters, digits and \"-\", beginning with a letter", i)
		case seen[id(t)]:
			p.Add("tenants[%d].id: %q given twice", i, id(t))
		}
		seen[id(t)] = true
		p.AddError(fmt.Sprintf("tenants[%d]", i), check(t))
	}
}

// Err is all problems, nil if there are none.
func (p Problems) Err() error { return errors.Join(p...) }

// IsTenant reports whether s may name a tenant: it is part of addresses.
func IsTenant(s string) bool {
	return s != "" && len(s) <= 32 && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Origin accepts https://host and, for loopback names, http://host.
func Origin(s string) error {
	if u, err := url.Parse(s); err != nil || u.Path != "" || u.RawQuery != "" {
		return errors.New("wanted an origin without path or trailing slash")
	}
	return Address(s)
}

// Address accepts https URLs and, for loopback names, http ones.
func Address(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "" || u.User != nil:
		return errors.New("wanted an https address")
	case u.Scheme != "https" && !(u.Scheme == "http" && Loopback(s)):
		return errors.New("wanted https; http is for loopback names only")
	}
	return nil
}

// Loopback reports whether an address is on this machine by its name.
func Loopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && web.IsLoopbackName(u.Hostname())
}

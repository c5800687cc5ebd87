// Package source is where an issuing authority gets attributes of persons
// from. ISO/IEC 23220-1:2023, 8.1.
package source

import (
	"context"
	"errors"
	"time"
)

// ErrNotFound says that the source knows no such person.
var ErrNotFound = errors.New("person not in the source")

// ErrUnfit says that what the source holds of a person cannot be used until
// somebody corrects it.
var ErrUnfit = errors.New("not usable as it is")

// Source is a register of persons.
//
// Methods may block and may be called by several goroutines. Find returns
// ErrNotFound (wrapped) for an unknown person and ErrUnfit (wrapped) for one of
// whom it holds something wrong, who comes without attributes; any other error means that the source could not
// answer, and the caller may try again later.
type Source interface {
	// Find returns what the source knows of a person now. The caller owns
	// the result.
	Find(ctx context.Context, id string) (Person, error)
	// IDs returns the identifiers of all persons, sorted.
	IDs(ctx context.Context) ([]string, error)
}

// Person is what a source knows of a person.
type Person struct {
	// ID identifies the person in the source; it never leaves the authority.
	ID string
	// Attributes are the values by attribute name. A string is the text form
	// of doctype.Shape.ParseText; []byte are images and other bytes; other
	// values are as doctype.Kind says. Absent and empty are the same.
	Attributes map[string]any
	// Changed is when the source last changed what it says of the person.
	Changed time.Time
	// Deceased is when the person died; zero for the living. Documents of
	// the dead are revoked.
	Deceased time.Time
	// EnrolmentCode is the secret that the person got to enrol with; empty
	// if the source has none. Compare it in constant time, keep only a hash.
	EnrolmentCode string
}

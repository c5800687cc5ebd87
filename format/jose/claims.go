package jose

import "time"

// NumericDate is a time in a JWT: seconds since 1970-01-01T00:00:00Z
// (RFC 7519, 2). Zero means absent, with `json:",omitempty"`. On input it takes
// fractions, which it cuts off, and refuses zero, negative values, null and
// times after the year 9999.
type NumericDate int64

// NewDate returns t in whole seconds.
func NewDate(t time.Time) NumericDate { panic("being written") }

// Time returns the time in UTC; the zero time if absent.
func (d NumericDate) Time() time.Time { panic("being written") }

// UnmarshalJSON reads a JSON number.
func (d *NumericDate) UnmarshalJSON(data []byte) error { panic("being written") }

// Times are the three time claims of a JWT, to embed in a struct of claims
// (RFC 7519, 4.1.4 to 4.1.6).
type Times struct {
	IssuedAt  NumericDate `json:"iat,omitempty"`
	NotBefore NumericDate `json:"nbf,omitempty"`
	Expires   NumericDate `json:"exp,omitempty"`
}

// Check compares the claims that are present with now, allowing the clocks to
// differ by skew: ErrExpired from "exp" on, ErrNotYet before "nbf" or "iat".
func (c Times) Check(now time.Time, skew time.Duration) error { panic("being written") }

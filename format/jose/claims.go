package jose

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// NumericDate is a time in a JWT: seconds since 1970-01-01T00:00:00Z
// (RFC 7519, 2). Zero means absent, with `json:",omitempty"`. On input it takes
// fractions, which it cuts off, and refuses values below one, null and times
// after the year 9999, so that no claim that is present counts as absent.
type NumericDate int64

// lastDate is 9999-12-31T23:59:59Z.
const lastDate = 253402300799

// NewDate returns t in whole seconds.
func NewDate(t time.Time) NumericDate { return NumericDate(t.Unix()) }

// Time returns the time in UTC; the zero time if absent.
func (d NumericDate) Time() time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Unix(int64(d), 0).UTC()
}

// UnmarshalJSON reads a JSON number.
func (d *NumericDate) UnmarshalJSON(data []byte) error {
	var f *float64
	if err := json.Unmarshal(data, &f); err != nil || f == nil {
		return fmt.Errorf("NumericDate is no number: %w", ErrMalformed)
	}
	if *f < 1 || *f > lastDate {
		return fmt.Errorf("NumericDate %g out of range: %w", *f, ErrMalformed)
	}
	*d = NumericDate(math.Floor(*f))
	return nil
}

// Times are the three time claims of a JWT, to embed in a struct of claims
// (RFC 7519, 4.1.4 to 4.1.6).
type Times struct {
	IssuedAt  NumericDate `json:"iat,omitempty"`
	NotBefore NumericDate `json:"nbf,omitempty"`
	Expires   NumericDate `json:"exp,omitempty"`
}

// Check compares the claims that are present with now, allowing the clocks to
// differ by skew: ErrExpired from "exp" on, ErrNotYet before "nbf" or "iat".
// Claims that a specification requires are its reader's to miss.
func (c Times) Check(now time.Time, skew time.Duration) error {
	if c.Expires != 0 && !now.Add(-skew).Before(c.Expires.Time()) {
		return fmt.Errorf("\"exp\" %s: %w", c.Expires.Time().Format(time.RFC3339), ErrExpired)
	}
	if c.NotBefore != 0 && now.Add(skew).Before(c.NotBefore.Time()) {
		return fmt.Errorf("\"nbf\" %s: %w", c.NotBefore.Time().Format(time.RFC3339), ErrNotYet)
	}
	if c.IssuedAt != 0 && now.Add(skew).Before(c.IssuedAt.Time()) {
		return fmt.Errorf("\"iat\" %s: %w", c.IssuedAt.Time().Format(time.RFC3339), ErrNotYet)
	}
	return nil
}

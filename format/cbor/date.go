package cbor

import (
	"fmt"
	"time"
)

// FullDate is a calendar date YYYY-MM-DD, on the wire tag 1004 over text.
//
// RFC 8943, 2.2.
type FullDate struct {
	Year  int
	Month time.Month
	Day   int
}

const fullDateLayout = "2006-01-02"

// ParseFullDate parses YYYY-MM-DD and refuses days that do not exist.
func ParseFullDate(s string) (FullDate, error) {
	t, err := time.Parse(fullDateLayout, s)
	if err != nil {
		return FullDate{}, fmt.Errorf("%w: full-date is not YYYY-MM-DD (RFC 8943, 2.2)", ErrInvalid)
	}
	return DateOf(t), nil
}

// DateOf is the date of t in t's location.
func DateOf(t time.Time) FullDate {
	y, m, d := t.Date()
	return FullDate{y, m, d}
}

// Time is midnight UTC of the date.
func (d FullDate) Time() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// String is YYYY-MM-DD.
func (d FullDate) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// MarshalText is String.
func (d FullDate) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// AppendFullDate appends d with tag 1004.
func AppendFullDate(dst []byte, d FullDate) []byte {
	return AppendText(AppendTag(dst, TagFullDate), d.String())
}

// MarshalCBOR encodes the date with its tag.
func (d FullDate) MarshalCBOR() ([]byte, error) { return AppendFullDate(nil, d), nil }

// UnmarshalCBOR decodes a date with its tag.
func (d *FullDate) UnmarshalCBOR(data []byte) error {
	r := NewReader(data)
	*d = r.FullDate()
	return r.Done()
}

// FullDate takes tag 1004 over a date.
func (r *Reader) FullDate() FullDate {
	r.Tag(TagFullDate)
	s := r.TextBytes()
	if r.err != nil {
		return FullDate{}
	}
	d, err := ParseFullDate(string(s))
	r.Fail(err)
	return d
}

// TDate is a point in time, on the wire tag 0 over RFC 3339 text. Mobile
// documents write it in UTC with "Z" and without a fraction of a second.
//
// RFC 8949, 3.4.1; ISO/IEC 18013-5:2021, 7.2.1 and 9.1.2.4.
type TDate struct{ time.Time }

const tdateLayout = "2006-01-02T15:04:05Z"

// AppendTDate appends t in UTC, truncated to the second, with tag 0.
func AppendTDate(dst []byte, t time.Time) []byte {
	dst = append(dst, 0xc0, 0x74) // tag 0, text of 20 bytes
	return t.UTC().AppendFormat(dst, tdateLayout)
}

// MarshalCBOR encodes the time with its tag.
func (t TDate) MarshalCBOR() ([]byte, error) { return AppendTDate(nil, t.Time), nil }

// UnmarshalCBOR decodes a time with its tag.
func (t *TDate) UnmarshalCBOR(data []byte) error {
	r := NewReader(data)
	t.Time, _ = r.TDate()
	return r.Done()
}

// TDate takes tag 0 over RFC 3339 text. Any RFC 3339 time is accepted; plain
// says whether it is in the form that mobile documents prescribe, UTC with "Z"
// and no fraction.
func (r *Reader) TDate() (t time.Time, plain bool) {
	r.Tag(TagDateTime)
	s := r.TextBytes()
	if r.err != nil {
		return time.Time{}, false
	}
	if t, ok := parsePlain(s); ok {
		return t, true
	}
	t, err := time.Parse(time.RFC3339Nano, string(s))
	if err != nil {
		r.Failf("tdate is not an RFC 3339 time (RFC 8949, 3.4.1)")
		return time.Time{}, false
	}
	return t, false
}

// parsePlain parses YYYY-MM-DDTHH:MM:SSZ without allocating.
func parsePlain(s []byte) (time.Time, bool) {
	if len(s) != len(tdateLayout) || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != 'Z' {
		return time.Time{}, false
	}
	num := func(from, to int) int {
		n := 0
		for _, c := range s[from:to] {
			if c < '0' || c > '9' {
				return -1 << 20
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	y, mo, d, h, mi, sec := num(0, 4), num(5, 7), num(8, 10), num(11, 13), num(14, 16), num(17, 19)
	if y < 0 || mo < 1 || mo > 12 || d < 1 || h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 || sec > 59 {
		return time.Time{}, false
	}
	t := time.Date(y, time.Month(mo), d, h, mi, sec, 0, time.UTC)
	if t.Day() != d {
		return time.Time{}, false
	}
	return t, true
}

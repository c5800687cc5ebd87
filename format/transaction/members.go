package transaction

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/jose"
)

// The longest texts where the type says nothing.
const (
	maxName = 200
	maxURL  = 1000
	maxLogo = 48 << 10
)

// text is a string of at most max characters, with something in it that can be
// seen. Control characters and those that turn the direction of writing could
// show something else than what is signed.
func (o *object) text(member string, required bool, max int) string {
	raw, ok := o.take(member, required)
	if !ok {
		return ""
	}
	list, many, err := jose.Strings(raw)
	if err != nil || many {
		o.fail(member, "no text")
		return ""
	}
	s := list[0]
	switch {
	case utf8.RuneCountInString(s) > max:
		o.fail(member, "more than %d characters", max)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.IsSpace(r) }):
		o.fail(member, "characters that cannot be shown")
	case strings.TrimSpace(s) == "":
		o.fail(member, "empty")
	}
	return strings.Join(strings.Fields(s), " ")
}

// one is a text that is one of those listed.
func (o *object) one(member string, required bool, of map[string]string) string {
	s := o.text(member, required, maxName)
	if _, ok := of[s]; !ok && s != "" {
		o.fail(member, "a value that is not known")
	}
	return of[s]
}

// yes is a boolean, false if it is not there.
func (o *object) yes(member string) bool {
	raw, ok := o.take(member, false)
	if ok && string(raw) != "true" && string(raw) != "false" {
		o.fail(member, "neither true nor false")
	}
	return string(raw) == "true"
}

// number is a number as it is written, without exponent: what is shown is what
// was sent, to the digit.
func (o *object) number(member string, required bool) string {
	raw, ok := o.take(member, required)
	if !ok {
		return ""
	}
	if s := string(raw); decimal.MatchString(s) {
		return s
	}
	o.fail(member, "no decimal number of at most 15 digits before the point")
	return ""
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?$`)

// count is a whole number from 1 to max, 0 if it is not there.
func (o *object) count(member string, required bool, max int) int {
	s := o.number(member, required)
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > max {
		o.fail(member, "no whole number from 1 to %d", max)
		return 0
	}
	return n
}

// day is a date, or date and time, by its day. ISO 8601, RFC 3339.
func (o *object) day(member string) time.Time {
	s := o.text(member, false, 40)
	if s == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1900 {
			return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
		}
	}
	o.fail(member, "no date (ISO 8601)")
	return time.Time{}
}

func says(day time.Time) string { return day.Format("2 January 2006") }

// need is a member that is an object and has to be there.
func (o *object) need(member string) *object {
	if _, ok := o.members[member]; !ok {
		o.fail(member, "missing")
		return nil
	}
	return o.object(member)
}

// object is a member that is an object, nil if it is not there.
func (o *object) object(member string) *object {
	raw, ok := o.take(member, false)
	if !ok {
		return nil
	}
	return o.inside(member, raw)
}

func (o *object) inside(member string, raw json.RawMessage) *object {
	members, err := jose.Object(raw, jose.Limits{Token: maxObject, Depth: 6, Members: 1024})
	if err != nil {
		o.fail(member, "no object")
		return nil
	}
	return &object{members: members, path: o.path + member + ".", first: o.first}
}

// each calls read for the objects of an array of 1 to max, which has to be there.
func (o *object) each(member string, max int, read func(*object)) {
	raw, ok := o.take(member, true)
	if !ok {
		return
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 || len(list) > max {
		o.fail(member, "no array of 1 to %d objects", max)
		return
	}
	for i, entry := range list {
		in := o.inside(member+"["+strconv.Itoa(i)+"]", bytes.TrimSpace(entry))
		if in == nil {
			return
		}
		read(in)
		in.end()
	}
}

// minor are the currencies that have other than two digits behind the point.
// ISO 4217.
var minor = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0,
	"VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0, "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3, "CLF": 4, "UYW": 4,
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// currency is an alpha-3 code. ISO 4217.
func (o *object) currency(member string) string {
	s := o.text(member, true, 3)
	if s != "" && !currencyCode.MatchString(s) {
		o.fail(member, "no currency code of ISO 4217")
	}
	return s
}

// amount is a number with as many digits behind the point as the currency has.
func (o *object) amount(member string, required bool, currency string) string {
	s := o.number(member, required)
	if s == "" {
		return ""
	}
	digits, known := minor[currency]
	if !known {
		digits = 2
	}
	whole, fraction, _ := strings.Cut(s, ".")
	for len(fraction) > digits && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	if len(fraction) > digits {
		o.fail(member, "%s has %d digits behind the point", currency, digits)
		return ""
	}
	fraction += strings.Repeat("0", digits-len(fraction))
	if fraction != "" {
		whole += "." + fraction
	}
	return whole + " " + currency
}

// texts are the strings of an array of at most 16.
func (o *object) texts(member string, raw json.RawMessage) []string {
	list, many, err := jose.Strings(raw)
	if err != nil || !many || len(list) > 16 {
		o.fail(member, "no array of at most 16 texts")
		return nil
	}
	var out []string
	for _, s := range list {
		text, err := json.Marshal(s)
		if err != nil {
			o.fail(member, "no text")
			return nil
		}
		in := &object{members: map[string]json.RawMessage{member: text}, path: o.path, first: o.first}
		out = append(out, in.text(member, true, maxURL))
	}
	return out
}

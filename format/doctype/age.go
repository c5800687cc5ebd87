package doctype

import (
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
)

// NearestAge answers a request for age_over_NN from the statements held:
// among the true ones at or above NN the lowest, else among the false ones at
// or below NN the highest, else nothing. The statement returned may so be
// another than the one requested, and answers it all the same.
//
// ISO/IEC 18013-5 second edition (draft v4), 13.4.6.
func NearestAge(requested int, have map[int]bool) (nn int, value bool, ok bool) {
	above, below := -1, -1
	for n, over := range have {
		if over && n >= requested && (above < 0 || n < above) {
			above = n
		}
		if !over && n <= requested && n > below {
			below = n
		}
	}
	switch {
	case above >= 0:
		return above, true, true
	case below >= 0:
		return below, false, true
	}
	return 0, false, false
}

// AgeOver returns the NN of an age_over_NN identifier.
func AgeOver(id string) (nn int, ok bool) {
	const stem = "age_over_"
	if len(id) != len(stem)+2 || id[:len(stem)] != stem || !isDigit(id[len(stem)]) || !isDigit(id[len(stem)+1]) {
		return 0, false
	}
	return int(id[len(stem)]-'0')*10 + int(id[len(stem)+1]-'0'), true
}

// ageOverID is the identifier of the statement that somebody is nn or older.
func ageOverID(nn int) string { return fmt.Sprintf("age_over_%02d", nn) }

// age returns the whole years from birth to day. Who was born on 29 February
// comes of age on 1 March in a common year.
func age(birth, day cbor.FullDate) int {
	years := day.Year - birth.Year
	if day.Month < birth.Month || day.Month == birth.Month && day.Day < birth.Day {
		years--
	}
	return years
}

// oldest is how many years back a partly unknown date of birth is looked for.
const oldest = 150

// birth is a date of birth as far as it is known: the earliest and the latest
// day that it can be.
type birth struct {
	earliest, latest cbor.FullDate
}

// birthOf reads a decoded birth_date: a date, or the map of Photo ID with a
// mask. day is the day that nobody is born after.
func birthOf(value any, day cbor.FullDate) (birth, error) {
	switch v := value.(type) {
	case cbor.FullDate:
		if after(v, day) {
			return birth{}, fmt.Errorf("%w: date of birth lies after the day of issue", ErrDate)
		}
		return birth{v, v}, nil
	case map[string]any:
		d, ok := v["birth_date"].(cbor.FullDate)
		if !ok {
			return birth{}, fmt.Errorf("%w: no birth_date", ErrMember)
		}
		mask, _ := v["approximate_mask"].(string)
		return masked(d, mask, day)
	}
	return birth{}, fmt.Errorf("%w: not a date of birth", ErrKind)
}

// masked finds the first and the last day up to day that agree with d in all
// digits that the mask leaves.
func masked(d cbor.FullDate, mask string, day cbor.FullDate) (birth, error) {
	if mask == "" || mask == "00000000" {
		return birthOf(d, day)
	}
	agrees := func(t cbor.FullDate) bool {
		x, y := t.Year*10000+int(t.Month)*100+t.Day, d.Year*10000+int(d.Month)*100+d.Day
		for i := len(mask) - 1; i >= 0; i-- {
			if mask[i] == '0' && x%10 != y%10 {
				return false
			}
			x, y = x/10, y/10
		}
		return true
	}
	var b birth
	found := false
	end := day.Time().AddDate(-oldest, 0, 0)
	for t := day.Time(); t.After(end); t = t.AddDate(0, 0, -1) {
		if c := cbor.DateOf(t); agrees(c) {
			if !found {
				b.latest, found = c, true
			}
			b.earliest = c
		}
	}
	if !found {
		return birth{}, fmt.Errorf("%w: no possible date of birth in the last %d years", ErrDate, oldest)
	}
	return b, nil
}

func after(a, b cbor.FullDate) bool { return a.Time().After(b.Time()) }

// birthday is the start of the day on which who was born at b turns n, in the
// location.
func birthday(b cbor.FullDate, n int, loc *time.Location) time.Time {
	return time.Date(b.Year+n, b.Month, b.Day, 0, 0, 0, 0, loc)
}

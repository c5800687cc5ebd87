package doctype

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
)

// Display returns label and text of an encoded value for people, in the
// language or else in English. Entries of a list of structures stand on lines
// of their own. Images and hidden values are named by their size only. The
// error is that of Decode.
func (e Element) Display(lang string, data []byte) (label, text string, err error) {
	v, err := e.Decode(data)
	if err != nil {
		return e.Label(lang), "", err
	}
	if b, ok := v.([]byte); ok {
		return e.Label(lang), sizeText(lang, e.Kind, len(b)), nil
	}
	if e.Hidden {
		return e.Label(lang), wordsIn(lang).hidden, nil
	}
	return e.Label(lang), e.Shape.show(lang, v), nil
}

// Display returns label and text of an element value for people. It never
// fails: what is unknown or does not fit its definition is shown by its
// identifier and in diagnostic notation, so that nothing is disclosed unseen.
func (c *Catalogue) Display(lang, docType, namespace, id string, value []byte) (label, text string) {
	if t, ok := c.ByDocType(docType); ok {
		if e, ok := t.Element(namespace, id); ok {
			label, text, err := e.Display(lang, value)
			if err == nil {
				return label, text
			}
			return label, diagnose(lang, value)
		}
	}
	return id, diagnose(lang, value)
}

// Label returns what people call an element; its identifier if unknown.
func (c *Catalogue) Label(lang, docType, namespace, id string) string {
	if t, ok := c.ByDocType(docType); ok {
		if e, ok := t.Element(namespace, id); ok {
			return e.Label(lang)
		}
	}
	return id
}

// diagnose shows a value that no definition explains, cut to what fits a
// screen.
func diagnose(lang string, value []byte) string {
	const most = 300
	s, err := cbor.Diagnose(value)
	if err != nil {
		return sizeText(lang, Bytes, len(value))
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// show returns a decoded value as text.
func (s *Shape) show(lang string, value any) string {
	switch v := value.(type) {
	case string:
		return s.choiceText(lang, v)
	case uint64:
		return s.choiceText(lang, strconv.FormatUint(v, 10))
	case bool:
		if v {
			return wordsIn(lang).yes
		}
		return wordsIn(lang).no
	case cbor.FullDate:
		return dateText(lang, v)
	case cbor.TDate:
		t := v.UTC()
		day := dateText(lang, cbor.DateOf(t))
		if t.Equal(t.Truncate(24 * time.Hour)) {
			return day
		}
		return day + ", " + t.Format("15:04:05") + " UTC"
	case []byte:
		return sizeText(lang, s.Kind, len(v))
	case []any:
		return s.showArray(lang, v)
	case map[string]any:
		return s.showMap(lang, v)
	}
	return fmt.Sprint(value)
}

// choiceText returns the name of a listed value, else the value.
func (s *Shape) choiceText(lang, v string) string {
	for i := range s.Values {
		if s.Values[i].Value == v {
			return s.Values[i].Names.In(lang)
		}
	}
	return v
}

func (s *Shape) showArray(lang string, entries []any) string {
	if len(entries) == 0 {
		return wordsIn(lang).none
	}
	if s.Kind != Array {
		s = s.alternative(Array)
	}
	lines := make([]string, len(entries))
	sep := ", "
	for i, e := range entries {
		if _, ok := e.(map[string]any); ok {
			sep = "\n"
		}
		lines[i] = s.Of.show(lang, e)
	}
	return strings.Join(lines, sep)
}

func (s *Shape) showMap(lang string, members map[string]any) string {
	if s.Kind != Map {
		s = s.alternative(Map)
	}
	var parts []string
	for i := range s.Members {
		m := &s.Members[i]
		v, ok := members[m.ID]
		if !ok {
			continue
		}
		text := strings.ReplaceAll(m.Shape.show(lang, v), "\n", " / ")
		if i > 0 || len(members) == 1 {
			text = m.Names.In(lang) + ": " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " · ")
}

// alternative returns the further shape of the kind. A decoded value of the
// kind proves that there is one.
func (s *Shape) alternative(kind Kind) *Shape {
	for _, more := range [...][]Shape{s.Or, s.Accept} {
		for i := range more {
			if more[i].Kind == kind {
				return &more[i]
			}
		}
	}
	return s
}

// words are the few words of the program itself.
type words struct {
	yes, no, none, hidden string
	image, bytes          string // formats of a number
	months                [12]string
	date                  string // of day, month name, year
}

func wordsIn(lang string) words {
	base, _, _ := strings.Cut(strings.ToLower(lang), "-")
	switch base {
	case "de":
		return words{"Ja", "Nein", "keine", "nicht angezeigt", "Bild, %d KiB", "%d Byte",
			[12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
			"%d. %s %d"}
	case "fr":
		return words{"Oui", "Non", "aucun", "non affiché", "image, %d Kio", "%d octets",
			[12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
			"%d %s %d"}
	case "es":
		return words{"Sí", "No", "ninguno", "no se muestra", "imagen, %d KiB", "%d bytes",
			[12]string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"},
			"%d de %s de %d"}
	}
	return words{"Yes", "No", "none", "not shown", "image, %d KiB", "%d bytes",
		[12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
		"%d %s %d"}
}

func dateText(lang string, d cbor.FullDate) string {
	if d.Month < 1 || d.Month > 12 {
		return d.String()
	}
	w := wordsIn(lang)
	return fmt.Sprintf(w.date, d.Day, w.months[d.Month-1], d.Year)
}

// sizeText names bytes by their number, images in KiB rounded up.
func sizeText(lang string, kind Kind, n int) string {
	switch {
	case n == 0:
		return wordsIn(lang).none
	case kind == JPEG || kind == Image:
		return fmt.Sprintf(wordsIn(lang).image, (n+1023)/1024)
	}
	return fmt.Sprintf(wordsIn(lang).bytes, n)
}

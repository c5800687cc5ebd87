package api

import (
	"testing"
	"time"

	"github.com/eidos-id/eidos/verifier"
)

// A cursor that is read leads to the place that it names, and comes out as one
// that leads there again.
func FuzzCursor(f *testing.F) {
	f.Add(cursor(verifier.Past{ID: "gRvb2eE2-rSuSLZQMOnjvR0fLHRbq2sV-pFXXweOjHU", Created: time.UnixMilli(1795435200000)}))
	f.Add("MS5h")
	f.Add("AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseCursor(text)
		if err != nil || text == "" {
			return
		}
		again, err := parseCursor(cursor(verifier.Past{ID: at.ID, Created: at.Created}))
		if err != nil || at.ID == "" || !again.Created.Equal(at.Created) || again.ID != at.ID {
			t.Errorf("%q leads to %+v, then to %+v: %v", text, at, again, err)
		}
	})
}

package web

import (
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/wallet"
)

// A document says how its copies are used and what others could find out; that
// new ones are due is said where it matters, while they do not come.
func TestCopiesUse(t *testing.T) {
	now := time.Now()
	a := &App{deps: Deps{Now: func() time.Time { return now }}}
	for name, c := range map[string]struct {
		method string
		unused int
		want   string
	}{
		"no word":             {"", 5, "5 of 10 were never shown."},
		"no word, all shown":  {"", 0, "get new ones from the issuer"},
		"once, few left":      {oid4vci.ReuseOnce, 1, "connect this machine to the internet"},
		"once, enough":        {oid4vci.ReuseOnce, 9, "9 of 10 were never shown."},
		"limited":             {oid4vci.ReuseLimited, 0, "The same copy is shown to all who ask."},
		"rotating":            {oid4vci.ReuseRotating, 0, "10 are shown in turn"},
		"per party":           {oid4vci.ReusePerParty, 9, "sees it again the next time"},
		"per party, few left": {oid4vci.ReusePerParty, 2, "connect this machine to the internet"},
		"per party, none":     {oid4vci.ReusePerParty, 0, "get new ones from the issuer"},
	} {
		d := wallet.Document{Grant: "g", Copies: 10, Unused: c.unused, ValidFrom: now, ValidUntil: now.Add(12 * 24 * time.Hour)}
		if c.method != "" {
			d.Reuse = &oid4vci.ReuseOption{Details: []string{c.method}, BatchSize: 10, Unused: 2, LifetimeLeft: 3600}
		}
		got := a.copiesUse(d)
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
		if shared := strings.Contains(got, "its issuer wants it so"); shared == d.Single() {
			t.Errorf("%s: %s", name, got)
		}
	}
}

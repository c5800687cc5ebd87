package wallet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/wallet"
)

// wantReuse has the authority want copies of mDLs used so, five at a time.
func (w *world) wantReuse(methods ...string) {
	w.reuse = &oid4vci.ReusePolicy{ID: oid4vci.ReusePolicyARF, Options: []oid4vci.ReuseOption{
		{Details: methods, BatchSize: 5, Unused: 1, LifetimeLeft: 24 * 3600},
	}}
}

// trustReaders trusts a CA of readers beside the one that is trusted already.
func (w *world) trustReaders(ca signer) error {
	var list []assure.Anchor
	for purpose, cas := range map[trustlist.Purpose][]signer{trustlist.Issuer: {w.iaca}, trustlist.Reader: {w.readerCA, ca}} {
		for _, s := range cas {
			list = append(list, assure.FromCertificates(purpose, "test", s.cert)...)
		}
	}
	var err error
	w.anchors, err = assure.NewAnchors(list...)
	return err
}

// show has a device show its mDL to a reader, anonymous if by is nil, and
// returns the key of the copy and what the log says of it.
func (w *world) show(d *device, by *signer) (string, wallet.LogEntry) {
	w.t.Helper()
	copyKey := ""
	entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		resp, _ := r.ask(r.request(by, wants(mdoc.DocTypeMDL, "family_name")))
		r.verify(resp)
		copyKey = string(resp.Documents[0].IssuerSigned.Auth.MSO.DeviceKey)
	})
	if err != nil || len(entries) != 1 {
		w.t.Fatalf("%+v, %v", entries, err)
	}
	return copyKey, entries[0]
}

// promise is what a method promises, in the plainest words: it is told of each
// showing and of new copies, and says what is wrong.
type promise struct {
	method string
	copies int
	seen   map[string][]string // by copy: the parties, as often as they saw it
	own    map[string]string   // by party: the copy that it saw, unless that was forgotten
}

// renew begins with new copies.
func (p *promise) renew() { p.seen, p.own = make(map[string][]string), make(map[string]string) }

// forget makes a party one of those whom nobody knows.
func (p *promise) forget(party string) {
	delete(p.own, party)
	for _, parties := range p.seen {
		for i := range parties {
			if parties[i] == party {
				parties[i] = ""
			}
		}
	}
}

// wrong judges a showing to a party, who is "" if nobody vouches for it.
func (p *promise) wrong(shown, party string, reused bool) string {
	before := p.seen[shown]
	p.seen[shown] = append(slices.Clone(before), party)
	if len(p.seen) > p.copies {
		return fmt.Sprintf("%d copies, %d were issued", len(p.seen), p.copies)
	}
	spent := len(p.seen) == p.copies && len(before) > 0 // no other was left either
	others := slices.ContainsFunc(before, func(s string) bool { return s == "" || s != party })
	switch p.method {
	case oid4vci.ReuseOnce:
		if len(before) > 0 && !spent {
			return "shown twice while others were never shown"
		}
	case oid4vci.ReuseRotating:
		for _, other := range p.seen {
			if len(other) < len(before) {
				return "shown again before all were"
			}
		}
		if len(before) > 0 && len(p.seen) < p.copies {
			return "shown again before all were"
		}
	case oid4vci.ReusePerParty:
		own := p.own[party]
		if party != "" {
			p.own[party] = shown
		}
		switch {
		case own != "" && own != shown:
			return "the party had a copy of its own"
		case own == "" && len(before) > 0 && !spent:
			return "shown to another, or to one who was forgotten, while others were never shown"
		case own != "" && reused != others, own == "" && reused != (len(before) > 0):
			return fmt.Sprintf("the log says reused: %v", reused)
		}
		return ""
	}
	if reused != (len(before) > 0) {
		return fmt.Sprintf("the log says reused: %v", reused)
	}
	return ""
}

// Whatever happens in between, each method keeps its promise: parties come and
// ask in any order, entries of the log are forgotten, new copies come, and the
// app is started anew.
func TestReuseKeepsItsPromise(t *testing.T) {
	for _, method := range oid4vci.ReuseMethods() {
		t.Run(method, func(t *testing.T) {
			w := newWorld(t)
			w.wantReuse(method)
			w.serve(refreshLifetime)
			parties := map[string]*signer{"": nil}
			for _, name := range []string{"Bank", "Police", "Shop"} {
				s := certify(t, pki.ReaderAuth, w.Now(), name, &w.readerCA)
				parties[name] = &s
			}
			stranger := certify(t, pki.ReaderCA, w.Now(), "Nobody", nil)
			unknown := certify(t, pki.ReaderAuth, w.Now(), "Bank", &stranger)
			play(t, w, method, parties, &unknown)
		})
	}
}

func play(t *testing.T, w *world, method string, parties map[string]*signer, unknown *signer) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	path, keys := filepath.Join(t.TempDir(), "wallet.db"), software.NewMemory()
	start := func() *device {
		area, err := software.Open(context.Background(), software.Options{Storage: keys, Secret: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		return w.device(func(_ *wallet.Config, deps *wallet.Deps) { deps.Storage, deps.Area = open(t, path), area })
	}
	d := start()
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	docs, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := promise{method: method, copies: docs[0].Copies}
	p.renew()
	latest := map[string]string{} // entry of the log, by party
	names := []string{"Bank", "Police", "Shop", ""}
	for n := range 120 {
		switch dice.IntN(20) {
		case 0:
			d = start()
		case 1:
			if _, err := d.Reissue(t.Context(), docs[0].ID); err != nil {
				t.Fatal(err)
			}
			p.renew()
		case 2:
			name := names[dice.IntN(3)]
			if err := d.DeleteLog(t.Context(), latest[name]); err != nil {
				t.Fatal(err)
			}
			p.forget(name)
		}
		name := names[dice.IntN(len(names))]
		by := parties[name]
		if name == "" && dice.IntN(2) == 0 {
			by = unknown
		}
		shown, entry := w.show(d, by)
		if (entry.Party.Identity != "") != (name != "") {
			t.Fatalf("identity of %q: %+v", name, entry.Party)
		}
		if wrong := p.wrong(shown, name, entry.Documents[0].Reused); wrong != "" {
			t.Fatalf("%d, to %q: %s", n, name, wrong)
		}
		if name != "" {
			latest[name] = entry.ID
		}
	}
}

// Copies that are shown in turn come in another order each time.
func TestRotationIsRandom(t *testing.T) {
	w := newWorld(t)
	w.wantReuse(oid4vci.ReuseRotating)
	d, doc := w.holder(nil)
	orders := map[string]bool{}
	for range 6 {
		var order []string
		for range doc.Copies {
			shown, _ := w.show(d, nil)
			order = append(order, shown)
		}
		orders[strings.Join(order, " ")] = true
	}
	if len(orders) < 3 { // of 120; by chance once in 20 million
		t.Errorf("%d orders in six rounds", len(orders))
	}
}

// A new certificate with the same names is the same party; the same name from
// another CA, or with an address besides, is not.
func TestPartyOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.wantReuse(oid4vci.ReusePerParty, oid4vci.ReuseOnce)
	d, doc := w.holder(nil)
	if doc.Reuse.Method() != oid4vci.ReusePerParty {
		t.Fatalf("%+v", doc.Reuse)
	}
	now := w.Now()
	old, next := certify(t, pki.ReaderAuth, now, "Bank", &w.readerCA), certify(t, pki.ReaderAuth, now, "Bank", &w.readerCA)
	elsewhere := certify(t, pki.ReaderCA, now, "Reader CA", nil) // its name as well
	if err := w.trustReaders(elsewhere); err != nil {
		t.Fatal(err)
	}
	other := certify(t, pki.ReaderAuth, now, "Bank", &elsewhere)
	first, entry := w.show(d, &old)
	if entry.Party.Standing != assure.ReaderTrusted {
		t.Fatalf("%+v", entry.Party)
	}
	if again, _ := w.show(d, &next); again != first {
		t.Error("another copy for a renewed certificate")
	}
	if theirs, entry := w.show(d, &other); theirs == first || entry.Party.Standing != assure.ReaderTrusted {
		t.Errorf("the same copy for a namesake, %+v", entry.Party)
	}
	listed, err := d.Documents(t.Context())
	if err != nil || listed[0].Unused != doc.Copies-2 || listed[0].CopiesLeft() != "3 of 5 copies left" {
		t.Errorf("%+v, %v", listed, err)
	}
	if q := d.consent.last(); q.Choices[0][0].Reused {
		t.Error("warned of a copy that nobody else saw")
	}
}

// The person is told why a copy is shown again, once it matters.
func TestReuseInWords(t *testing.T) {
	for method, want := range map[string]string{oid4vci.ReuseLimited: "one copy for all who ask", oid4vci.ReuseRotating: "5 copies, shown in turn"} {
		w := newWorld(t)
		w.wantReuse(method)
		d, doc := w.holder(nil)
		if doc.CopiesLeft() != want {
			t.Errorf("%s: %s", method, doc.CopiesLeft())
		}
		for n := range doc.Copies + 1 {
			w.show(d, nil)
			said := slices.ContainsFunc(d.consent.last().Warnings, func(s string) bool { return strings.Contains(s, "as its issuer wants it") })
			if said != (n == doc.Copies) {
				t.Errorf("%s: warnings of showing %d: %v", method, n+1, d.consent.last().Warnings)
			}
		}
	}
}

// Copies that are shown to several are replaced by their age alone.
func TestDueByMethod(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		method string
		unused int
		left   time.Duration
		stated time.Duration
		want   bool
	}{
		"rotating, all shown":                  {oid4vci.ReuseRotating, 0, 3 * day, 2 * day, false},
		"rotating, near its end":               {oid4vci.ReuseRotating, 5, 2 * day, 2 * day, true},
		"rotating, wanted all the time":        {oid4vci.ReuseRotating, 5, 10 * day, 12 * day, false},
		"rotating, wanted all the time, later": {oid4vci.ReuseRotating, 5, 4 * day, 12 * day, true},
		"per party, few left":                  {oid4vci.ReusePerParty, 1, 10 * day, day, true},
		"per party, enough left":               {oid4vci.ReusePerParty, 2, 2 * day, day, false},
		"per party, near its end":              {oid4vci.ReusePerParty, 5, day, day, true},
	} {
		d := wallet.Document{Grant: "g", Copies: 5, Unused: c.unused, ValidFrom: now.Add(c.left - 12*day), ValidUntil: now.Add(c.left),
			Reuse: &oid4vci.ReuseOption{Details: []string{c.method}, BatchSize: 5, Unused: 1, LifetimeLeft: int64(c.stated / time.Second)}}
		if got := d.Due(now); got != c.want {
			t.Errorf("%s: due %v", name, got)
		}
	}
}

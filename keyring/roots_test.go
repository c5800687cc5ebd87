package keyring_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
	"pgregory.net/rapid"
)

// accept validates a signer as a verifier does that knows these roots and links,
// with the lists that the certificates on the way name.
func (i *issuing) accept(cert *x509.Certificate, roots, links []*x509.Certificate, at time.Time) error {
	i.t.Helper()
	var lists []*pki.CRL
	for _, c := range append(slices.Clone(links), cert) {
		for _, url := range c.CRLDistributionPoints {
			if l, err := i.ca().CRL(i.t.Context(), strings.TrimPrefix(strings.TrimPrefix(url, "https://issuer.example/iaca.crl"), "/"), at); err == nil {
				lists = append(lists, must(pki.ParseCRL(l))(i.t))
			}
		}
	}
	_, report := pki.VerifyChain([]*x509.Certificate{cert}, pki.NewPool(roots...).WithLinks(links...), pki.VerifyOptions{
		Now: at, Profile: pki.DocumentSigner, Strict: true, CRLs: lists, RequireRevocation: true,
	})
	return report.Err()
}

func certificates(roots []keyring.Root) (list []*x509.Certificate) {
	for _, r := range roots {
		list = append(list, r.Certificate)
	}
	return list
}

// An authority that runs for 25 years: roots follow each other in time, linked;
// every signer lasts as long as what it signs, is on the list of its own root,
// and is accepted by who knows all roots and by who missed the last change.
func TestRootsOfManyYears(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		i := newIssuing(t, dsn)
		i.reserve = 520 * day
		ctx, step := t.Context(), 55*day
		signed := map[string]*x509.Certificate{} // all signers so far
		born := map[string]time.Time{}           // roots, by key identifier
		for at := now; at.Before(now.Add(25 * 365 * day)); at = at.Add(step) {
			var wg sync.WaitGroup
			for range 2 {
				ca := i.ca()
				wg.Go(func() {
					if err := ca.Maintain(ctx, at); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			ca := i.ca()
			roots, links := must(ca.Roots(ctx, at))(t), must(ca.Links(ctx, at))(t)
			for _, r := range roots {
				if id := string(r.Certificate.SubjectKeyId); born[id].IsZero() {
					born[id] = at
				}
			}
			cert := must(must(ca.Key(ctx, keyring.DocSigner, at))(t).Certificate())(t)
			fresh := signed[cert.SerialNumber.String()] == nil
			signed[cert.SerialNumber.String()] = cert
			if left := cert.NotAfter.Sub(at); left < 60*day-step {
				t.Fatalf("%s: the signer has %s left", at, left)
			}
			if newest := roots[0].Certificate; fresh && len(roots) > 1 && (at.Sub(born[string(newest.SubjectKeyId)]) < 30*day) == pki.IssuedUnder(cert, newest) {
				t.Errorf("%s: a signer by the wrong one of %d roots", at, len(roots))
			}
			if len(roots) > 2 || len(links) != len(roots)-1 {
				t.Fatalf("%s: %d roots, %d links", at, len(roots), len(links))
			}
			for _, cert := range signed {
				if at.After(cert.NotAfter) {
					continue
				}
				if err := i.accept(cert, certificates(roots), nil, at); err != nil {
					t.Fatalf("%s: %v", at, err)
				}
				late := certificates(roots)[len(roots)-1:] // knows the oldest alone
				if err := i.accept(cert, late, links, at); err != nil {
					t.Fatalf("%s, over %d links: %v", at, len(links), err)
				}
			}
		}
		if n := len(must(i.ca().Keys(ctx, keyring.IACA, now))(t)); n != 3 && n != 4 || n != len(born) {
			t.Errorf("%d roots in 25 years", n)
		}
		if n := len(slices.DeleteFunc(i.noted(), func(c string) bool { return c != "link certificate made" })); n != len(born)-1 {
			t.Errorf("%d links for %d roots", n, len(born))
		}
	})
}

// A new root by order: what was before goes on, what comes is the new root's.
func TestRoll(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		i := newIssuing(t, dsn)
		one, two, ctx := i.ca(), i.ca(), t.Context()
		old := must(one.Root(ctx, now))(t)
		before := must(must(one.Key(ctx, keyring.DocSigner, now))(t).Certificate())(t)
		status := must(one.Key(ctx, keyring.Status, now))(t)
		if chain := must(one.Chain(ctx, status, now))(t); len(chain) != 1 {
			t.Errorf("a chain of %d without links", len(chain))
		}
		at := now.Add(48 * time.Hour)
		rolled := must(two.Roll(ctx, true, at))(t)
		if got := must(one.Root(ctx, at))(t); !got.Equal(rolled.Root) || rolled.Link == nil || rolled.List == "" {
			t.Fatalf("%+v", rolled)
		}
		if !pki.LinksTo(rolled.Link, rolled.Root) || rolled.Link.CheckSignatureFrom(old) != nil || rolled.Link.CRLDistributionPoints[0] != "https://issuer.example/iaca.crl" ||
			rolled.Root.CRLDistributionPoints[0] != "https://issuer.example/iaca.crl/"+rolled.List {
			t.Errorf("link %v, list of the root %v", rolled.Link.CRLDistributionPoints, rolled.Root.CRLDistributionPoints)
		}
		// The old signer signs on; ordered ones are the new root's.
		if k := must(two.Key(ctx, keyring.DocSigner, at.Add(2*time.Minute)))(t); !must(k.Certificate())(t).Equal(before) {
			t.Error("the signer changed with the root")
		}
		// The status signer goes over at once, for documents of either root.
		for range 2 {
			if err := two.Maintain(ctx, at); err != nil {
				t.Fatal(err)
			}
		}
		if list := must(one.Keys(ctx, keyring.Status, at))(t); len(list) != 2 || must(must(one.Key(ctx, keyring.Status, at.Add(2*time.Minute)))(t).Certificate())(t).CheckSignatureFrom(rolled.Root) != nil {
			t.Errorf("status signers %+v", list)
		}
		after := must(must(two.Rotate(ctx, keyring.DocSigner, at))(t).Certificate())(t)
		fresh := must(two.Rotate(ctx, keyring.Status, at))(t)
		oldOnly, newOnly, links := []*x509.Certificate{old}, []*x509.Certificate{rolled.Root}, must(one.Links(ctx, at))(t)
		for _, cert := range []*x509.Certificate{before, after} {
			if err := i.accept(cert, append(oldOnly, newOnly...), nil, at); err != nil {
				t.Error(err)
			}
			if err := i.accept(cert, oldOnly, links, at); err != nil {
				t.Error(err)
			}
		}
		if i.accept(after, oldOnly, nil, at) == nil || i.accept(before, newOnly, links, at) == nil {
			t.Error("accepted under a root that leads nowhere near it")
		}
		// What the new status signer signs verifies under either root.
		chain := must(pki.ParseChain(must(one.Chain(ctx, fresh, at))(t)))(t)
		for _, roots := range [][]*x509.Certificate{oldOnly, newOnly} {
			if _, r := pki.VerifyChain(chain, pki.NewPool(roots...), pki.VerifyOptions{Now: at, Profile: pki.StatusSigner, Strict: true}); len(chain) != 2 || !r.OK() {
				t.Errorf("chain of %d: %s", len(chain), r)
			}
		}
		// Each root has its list: the old signer is revoked on the old one.
		must(one.Revoke(ctx, before, "keyCompromise", at))(t)
		if first, next := i.listAt("https://issuer.example/iaca.crl", at), i.listAt("https://issuer.example/iaca.crl/"+rolled.List, at); first.Len() != 1 || next.Len() != 0 {
			t.Errorf("%d and %d entries", first.Len(), next.Len())
		}
		if i.accept(before, oldOnly, nil, at) == nil {
			t.Error("a revoked signer of the old root is accepted")
		}
		if err := i.accept(after, oldOnly, links, at); err != nil {
			t.Error(err)
		}
		if _, err := one.CRL(ctx, "00", at); !errors.Is(err, keyring.ErrUnknownRoot) {
			t.Errorf("a list of no root: %v", err)
		}
		// A revoked link is shown to nobody and followed by nobody.
		must(two.Revoke(ctx, rolled.Link, "cessationOfOperation", at))(t)
		if left := must(one.Links(ctx, at))(t); len(left) != 0 || i.accept(after, oldOnly, links, at) == nil {
			t.Error("the revoked link still counts")
		}
		if chain := must(one.Chain(ctx, fresh, at))(t); len(chain) != 1 {
			t.Error("the revoked link is in the chain")
		}
		list := must(one.Keys(ctx, keyring.IACA, at))(t)
		if len(list) != 2 || !list[0].Signs || list[0].Linked || list[1].Signs {
			t.Errorf("%+v", list)
		}
		// When the old root has ended its list ends too.
		end := old.NotAfter.Add(time.Second)
		if _, err := one.CRL(ctx, "", end); !errors.Is(err, keyring.ErrUnknownRoot) {
			t.Errorf("the list of a root that has ended: %v", err)
		}
		if roots := must(one.Roots(ctx, end))(t); len(roots) != 1 || roots[0].List != rolled.List {
			t.Errorf("%+v", roots)
		}
	})
}

// A root whose key is gone can be followed, but not link.
func TestRollWithoutTheOldKey(t *testing.T) {
	ctx := t.Context()
	i := newIssuing(t, testkit.SQLite(t))
	must(i.ca().Root(ctx, now))(t)
	i.area = area(t) // another secure area
	if _, err := i.ca().Roll(ctx, true, now.Add(time.Hour)); err == nil {
		t.Fatal("linked without the key of the old root")
	}
	if n := len(must(i.area.Keys(ctx))(t)); n != 0 || len(must(i.ca().Roots(ctx, now))(t)) != 1 {
		t.Errorf("%d keys left behind", n)
	}
	rolled := must(i.ca().Roll(ctx, false, now.Add(time.Hour)))(t)
	if links := must(i.ca().Links(ctx, now.Add(time.Hour)))(t); rolled.Link != nil || len(links) != 0 {
		t.Error("a link came from nowhere")
	}
	if k := must(i.ca().Rotate(ctx, keyring.DocSigner, now.Add(time.Hour)))(t); must(k.Certificate())(t).CheckSignatureFrom(rolled.Root) != nil {
		t.Error("not the new root's")
	}
}

// Whatever order things happen in: a signer counts exactly until it ends or is
// revoked, for those who know its root and for those who know an older one that
// is linked to it.
func TestRootsInAnyOrder(t *testing.T) {
	area, store, tenants := area(t), records(t, testkit.SQLite(t)), 0
	rapid.Check(t, func(r *rapid.T) {
		tenants++
		i := &issuing{t: t, area: area, records: store, tenant: fmt.Sprint(tenants), reserve: 520 * day}
		ctx, ca, at := t.Context(), i.ca(), now
		var signers []*x509.Certificate
		revoked := map[string]bool{}
		for range rapid.IntRange(1, 8).Draw(r, "steps") {
			what := rapid.SampledFrom([]string{"wait", "wait long", "roll", "rotate", "retire", "revoke"}).Draw(r, "what")
			switch what {
			case "wait":
				at = at.Add(time.Duration(rapid.IntRange(1, 40).Draw(r, "days")) * day)
			case "wait long":
				at = at.Add(time.Duration(rapid.IntRange(1, 4).Draw(r, "years")) * 365 * day)
			}
			at = at.Add(time.Minute)
			switch what {
			case "wait", "wait long":
			case "roll":
				must(ca.Roll(ctx, true, at))(t)
			case "rotate":
				must(ca.Rotate(ctx, keyring.DocSigner, at))(t)
			default:
				k := must(ca.Key(ctx, keyring.DocSigner, at))(t)
				cert := must(k.Certificate())(t)
				if what == "revoke" {
					must(ca.Revoke(ctx, cert, "superseded", at))(t)
					revoked[cert.SerialNumber.String()] = true
				} else {
					must(ca.Retire(ctx, k.Record.ID, at))(t)
				}
				signers = append(signers, cert)
			}
			if err := ca.Maintain(ctx, at); err != nil {
				r.Fatal(err)
			}
			signers = append(signers, must(must(ca.Key(ctx, keyring.DocSigner, at))(t).Certificate())(t))
			roots, links := certificates(must(ca.Roots(ctx, at))(t)), must(ca.Links(ctx, at))(t)
			for _, cert := range signers {
				want := !at.After(cert.NotAfter) && !revoked[cert.SerialNumber.String()]
				if err := i.accept(cert, roots, nil, at); (err == nil) != want {
					r.Fatalf("at %s, %s to %s: wanted %v: %v", at, cert.NotBefore, cert.NotAfter, want, err)
				}
				own := slices.IndexFunc(roots, func(root *x509.Certificate) bool { return pki.IssuedUnder(cert, root) })
				for older := own + 1; want && older < len(roots); older++ {
					reached := older-own <= 2 // links
					if err := i.accept(cert, roots[older:older+1], links, at); (err == nil) != reached {
						r.Fatalf("over %d links: %v", older-own, err)
					}
				}
			}
		}
	})
}

// The second root of an authority whose roots are kept elsewhere.
func TestSecondRootElsewhere(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		i := newIssuing(t, dsn)
		i.offline, i.reserve = true, 520*day
		ca, ctx, first := i.ca(), t.Context(), newCeremony(t, "UT")
		const list = "https://issuer.example/iaca.crl"
		must(ca.ImportRoot(ctx, first.root, now))(t)
		oldDS := must(ca.Request(ctx, keyring.DocSigner, false, now))(t)
		signed := first.certify(pki.DocumentSigner, oldDS.DER, now, 456*day)
		must(ca.Import(ctx, signed, now))(t)

		at := first.root.NotAfter.Add(-519 * day)
		if err := i.ca().Maintain(ctx, at); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(i.notices, func(n string) bool { return strings.Contains(n, "eidos pki iaca roll") }) {
			t.Errorf("nobody is told that the root ends: %q", i.notices)
		}
		if _, err := ca.Roll(ctx, true, at); !errors.Is(err, keyring.ErrOffline) {
			t.Errorf("rolled here: %v", err)
		}

		at = now.Add(time.Hour) // by order, long before
		second := newCeremony(t, "UT")
		link := func(from, to *ceremony, url string) *x509.Certificate {
			return pkitest.Link(t, pki.IACARoot, from.root, to.root, url, from.key)
		}
		good := link(first, second, list)
		if _, err := ca.ImportLink(ctx, good, at); err == nil || !strings.Contains(err.Error(), "bring that in first") {
			t.Errorf("a link to a root that is not there: %v", err)
		}
		same := second.naming(list)
		if _, err := ca.ImportRoot(ctx, same, at); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s/%x", list, same.SubjectKeyId)) {
			t.Errorf("a second root that names the list of the first: %v", err)
		}
		must(ca.ImportRoot(ctx, second.root, at))(t)
		stranger := newCeremony(t, "UT")
		for name, cert := range map[string]*x509.Certificate{
			"by a stranger":            link(stranger, second, list),
			"to a stranger":            link(first, stranger, list),
			"on the list of the other": link(first, second, fmt.Sprintf("%s/%x", list, second.root.SubjectKeyId)),
			"a signer":                 signed,
			"a root":                   second.root,
		} {
			if _, err := ca.ImportLink(ctx, cert, at); err == nil {
				t.Errorf("%s: brought in as a link", name)
			}
		}
		for range 2 { // twice is once
			if info := must(i.ca().ImportLink(ctx, good, at))(t); !info.Linked || info.Serial == "" {
				t.Errorf("%+v", info)
			}
		}
		if links := must(ca.Links(ctx, at))(t); len(links) != 1 || !links[0].Equal(good) {
			t.Errorf("%d links", len(links))
		}
		if n := len(slices.DeleteFunc(i.noted(), func(c string) bool { return c != "link certificate brought in" })); n != 1 {
			t.Errorf("audited %d times", n)
		}
		// A signer under the second root has to name the second list.
		request := must(ca.Request(ctx, keyring.DocSigner, true, at))(t)
		if _, err := ca.Import(ctx, second.certify(pki.DocumentSigner, request.DER, at, 400*day), at); err == nil || !strings.Contains(err.Error(), "revocation list of another root") {
			t.Errorf("a signer that names the list of the other root: %v", err)
		}
		second.crlURL = fmt.Sprintf("%s/%x", list, second.root.SubjectKeyId)
		next := second.certify(pki.DocumentSigner, request.DER, at, 400*day)
		must(ca.Import(ctx, next, at))(t)
		// Two lists are brought in and told apart by whose they are.
		must(ca.ImportCRL(ctx, first.crl(1, at, signed), at))(t)
		must(ca.ImportCRL(ctx, second.crl(1, at), at))(t)
		if a, b := i.listAt(list, at), i.listAt(second.crlURL, at); a.Len() != 1 || b.Len() != 0 {
			t.Errorf("%d and %d entries", a.Len(), b.Len())
		}
		if k := must(ca.Key(ctx, keyring.DocSigner, at))(t); !must(k.Certificate())(t).Equal(next) {
			t.Error("the new signer does not sign")
		}
		if err := i.accept(next, []*x509.Certificate{first.root}, []*x509.Certificate{good}, at); err != nil {
			t.Error(err)
		}
		published := must(ca.Published(ctx, at))(t)
		if n := len(slices.DeleteFunc(published, func(p keyring.Published) bool { return p.Purpose != "crl" })); n != 2 {
			t.Errorf("%d lists are watched", n)
		}
	})
}

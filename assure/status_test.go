package assure_test

import (
	"context"
	"crypto/ecdsa"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/statuslist"
)

// The signer of a list is remembered by all that the answer depends on, and no
// longer than its certificates last: the key that comes back is the very same.
func TestStatusTrustRemembers(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	trust := trusting(t, trustlist.Issuer, a.root)
	current := trust
	ask := assure.StatusTrust(trustlist.Issuer, func(context.Context, time.Time) (*assure.Anchors, error) { return current, nil })
	question := func(point []byte, issuer ...[]byte) statuslist.Question {
		return statuslist.Question{Claim: status.Claim{List: &status.ListReference{Index: 5, URI: listURI, Certificate: point}}, Issuer: issuer}
	}
	own := &status.Token{X5Chain: [][]byte{a.listSigner.Raw}}
	signer := func(q statuslist.Question, token *status.Token, at time.Time) *ecdsa.PublicKey {
		t.Helper()
		pub, r := ask(t.Context(), q, token, at)
		if !r.OK() {
			return nil
		}
		if len(r.Checks) == 0 {
			t.Error("a report without checks")
		}
		r.Fail("x", "", "", "") // what a caller adds stays with the caller
		return pub.(*ecdsa.PublicKey)
	}
	first := signer(question(nil, a.ds.Raw), own, now)
	if first == nil || signer(question(nil, a.ds.Raw), own, now) != first || signer(question(nil, a.ds.Raw), own, a.listSigner.NotAfter) != first {
		t.Error("validated anew")
	}
	for name, no := range map[string]*ecdsa.PublicKey{
		"after its end":           signer(question(nil, a.ds.Raw), own, a.listSigner.NotAfter.Add(time.Second)),
		"before its beginning":    signer(question(nil, a.ds.Raw), own, a.listSigner.NotBefore.Add(-time.Hour)),
		"another's document":      signer(question(nil, b.ds.Raw), own, now),
		"another trust point":     signer(question(b.root.Raw, a.ds.Raw), own, now),
		"an empty trust point":    signer(question([]byte{}, a.ds.Raw), own, now),
		"another's list":          signer(question(nil, a.ds.Raw), &status.Token{X5Chain: [][]byte{b.listSigner.Raw}}, now),
		"no chain":                signer(question(nil, a.ds.Raw), &status.Token{}, now),
		"the same, cut elsewhere": signer(question(a.ds.Raw), own, now),
	} {
		if no != nil {
			t.Errorf("believed: %s", name)
		}
	}
	current = trusting(t, trustlist.Issuer, b.root)
	if signer(question(nil, a.ds.Raw), own, now) != nil {
		t.Error("believed after its root was taken off the list")
	}
	current = trust
	if signer(question(nil, a.ds.Raw), own, now) == nil {
		t.Error("not believed again")
	}
}

func BenchmarkStatusTrust(b *testing.B) {
	a := newAuthority(b)
	ask := assure.StatusTrust(trustlist.Issuer, trusting(b, trustlist.Issuer, a.root).Snapshot)
	q := statuslist.Question{Claim: status.Claim{List: &status.ListReference{URI: listURI}}, Issuer: [][]byte{a.ds.Raw}}
	token := &status.Token{X5Chain: [][]byte{a.listSigner.Raw}}
	for b.Loop() {
		if _, r := ask(b.Context(), q, token, now); !r.OK() {
			b.Fatal(r)
		}
	}
}

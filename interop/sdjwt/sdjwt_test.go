// Package sdjwt_test lets eidos talk to @sd-jwt/sd-jwt-vc, an SD-JWT VC library
// in TypeScript: each issues, presents and verifies, and the other is its
// counterpart. README.md says more.
package sdjwt_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
)

func parse(t testing.TB, text string) *sdjwt.SDJWT {
	t.Helper()
	s, err := sdjwt.Parse(text, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// claims is a payload without what every credential has.
func claims(t testing.TB, payload json.RawMessage) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vct", "iat", "nbf", "exp", "cnf", "status"} {
		if m[name] == nil {
			t.Errorf("no %s", name)
		}
		delete(m, name)
	}
	return m
}

// same compares claims with what they have to be.
func same(t testing.TB, what string, payload json.RawMessage, want any) {
	t.Helper()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var expected any
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, claims(t, payload)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func refused(t testing.TB, what string, a answer, reason string) {
	t.Helper()
	if a.OK {
		t.Errorf("%s: they accepted it", what)
	} else if !strings.Contains(a.Why, reason) {
		t.Errorf("%s: they refused it because %s, not %s", what, a.Why, reason)
	}
}

// flipped changes one bit in the middle of the first part with the text.
func flipped(part string) string {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		panic(err)
	}
	b[len(b)/2] ^= 1
	return base64.RawURLEncoding.EncodeToString(b)
}

// Credentials of either side, on every curve and with every hash, are accepted
// by both with the root alone as trust anchor, and hold what went in.
func TestIssued(t *testing.T) {
	type credential struct {
		name string
		by   authority
		text string
	}
	var all []credential
	var issuing, verifying []task
	hashes := []string{"sha-256", "sha-384", "sha-512"}
	for i, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		a, holder := newAuthority(t, curve), testkit.Signer(t, curve)
		p := a.params(t, holder, person(t))
		p.DigestAlgorithm = hashes[i]
		name := curve.Params().Name + " with " + hashes[i]
		all = append(all, credential{"ours on " + name, a, a.issue(t, p)}, credential{"theirs on " + name, a, ""})
		issuing = append(issuing, a.issuing(t, p, holder))
	}
	for i, a := range peer.Done(t, issuing...) {
		all[2*i+1].text = a.Credential
	}
	want := value(sdjwt.Node{Members: person(t)})
	for _, c := range all {
		verifying = append(verifying, c.by.verifying(t, c.text))
		res, report := sdjwt.VerifyIssued(parse(t, c.text), c.by.verify(t))
		if !report.OK() || res.Status == nil || res.Status.List.Index != index {
			t.Errorf("%s: refused by us:\n%s", c.name, report)
			continue
		}
		same(t, c.name+", read by us", res.Payload.JSON(), want)
	}
	for i, a := range peer.Done(t, verifying...) {
		same(t, all[i].name+", read by them", a.Payload, want)
	}
}

func TestUntrusted(t *testing.T) {
	a, other := newAuthority(t, elliptic.P256()), newAuthority(t, elliptic.P256())
	holder := testkit.Signer(t, elliptic.P256())
	text := a.issue(t, a.params(t, holder, person(t)))
	late := a.verifying(t, text)
	late["now"] = now.AddDate(0, 0, 15).Unix()
	revoked := a.verifying(t, text)
	revoked["statusList"] = a.list(t, index)
	neighbour := a.verifying(t, text)
	neighbour["statusList"] = a.list(t, index-1, index+1)
	jwt, rest, _ := strings.Cut(text, "~")
	parts := strings.Split(jwt, ".")
	payload := a.verifying(t, strings.Join([]string{parts[0], flipped(parts[1]), parts[2]}, ".")+"~"+rest)
	signature := a.verifying(t, strings.Join([]string{parts[0], parts[1], flipped(parts[2])}, ".")+"~"+rest)
	answers := peer.Ask(t, other.verifying(t, text), late, revoked, neighbour, payload, signature)
	refused(t, "another root of the same name", answers[0], "certificate not trusted")
	refused(t, "expired", answers[1], "JWT is expired")
	refused(t, "revoked in our status list", answers[2], "Status is not valid")
	if !answers[3].OK {
		t.Errorf("neighbours revoked: %s", answers[3].Why)
	}
	if answers[4].OK { // for its signature, unless the change broke the JSON first
		t.Error("payload changed: they accepted it")
	}
	refused(t, "signature changed", answers[5], "Invalid JWT Signature")
}

// Credentials of both, shown by both, verified by both: exactly what was
// selected arrives, with a key of the holder on every curve.
func TestPresented(t *testing.T) {
	a := newAuthority(t, elliptic.P256())
	paths, theirFrame := selection()
	holders := []*testkit.Key{testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P384()), testkit.Signer(t, elliptic.P521()), testkit.Ed25519(t)}
	var issuing []task
	for _, h := range holders {
		issuing = append(issuing, a.issuing(t, a.params(t, h, person(t)), h))
	}
	theirs := peer.Done(t, issuing...)
	type presentation struct{ name, text string }
	var all []presentation
	var presenting []task
	for i, h := range holders {
		for by, stored := range map[string]string{"ours": a.issue(t, a.params(t, h, person(t))), "theirs": theirs[i].Credential} {
			name := fmt.Sprintf("%s for key %d", by, i)
			p, err := sdjwt.Select(stored, paths)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Sign(t.Context(), sdjwt.KeyBinding{Audience: audience, Nonce: nonce, IssuedAt: now}, h); err != nil {
				t.Fatal(err)
			}
			all = append(all, presentation{name + ", shown by us", p.String()}, presentation{name + ", shown by them", ""})
			presenting = append(presenting, task{"do": "present", "credential": stored, "frame": theirFrame, "key": h.JWK(t),
				"audience": audience, "nonce": nonce, "now": now.Unix()})
		}
	}
	for i, p := range peer.Done(t, presenting...) {
		all[2*i+1].text = p.Credential
	}
	var verifying []task
	for _, p := range all {
		res, report := sdjwt.Verify(parse(t, p.text), a.verify(t))
		if !report.OK() || !res.HolderVerified {
			t.Errorf("%s: refused by us:\n%s", p.name, report)
			continue
		}
		same(t, p.name+", read by us", res.Payload.JSON(), selected(t))
		v := a.verifying(t, p.text)
		v["nonce"] = nonce
		verifying = append(verifying, v)
	}
	for i, got := range peer.Done(t, verifying...) {
		same(t, all[i].name+", read by them", got.Payload, selected(t))
		if got.Audience != audience {
			t.Errorf("%s: audience %q", all[i].name, got.Audience)
		}
	}
	changed(t, a, all[0].text, all[1].text)
}

// changed presentations are refused by whoever gets to see them.
func changed(t *testing.T, a authority, presentations ...string) {
	var verifying []task
	for i, text := range presentations {
		cut := strings.LastIndexByte(text, '~') + 1
		parts := strings.Split(text[cut:], ".")
		withNonce := func(text, nonce string) task {
			v := a.verifying(t, text)
			v["nonce"] = nonce
			return v
		}
		forged := text[:cut] + strings.Join([]string{parts[0], parts[1], flipped(parts[2])}, ".")
		first := strings.IndexByte(text, '~')
		less := text[:first] + text[first+1+strings.IndexByte(text[first+1:], '~'):]
		bare := text[:cut]
		verifying = append(verifying, withNonce(text, "another"), withNonce(forged, nonce), withNonce(less, nonce), withNonce(bare, nonce))
		for what, wrong := range map[string]string{"forged": forged, "with one disclosure less": less, "without key binding": bare} {
			if _, report := sdjwt.Verify(parse(t, wrong), a.verify(t)); report.OK() {
				t.Errorf("presentation %d %s: we accepted it", i, what)
			}
		}
	}
	for i, got := range peer.Ask(t, verifying...) {
		what := []string{"nonce", "forged", "one disclosure less", "without key binding"}[i%4]
		refused(t, what, got, []string{"Invalid Nonce", "Invalid JWT Signature", "Invalid sd_hash", "Key Binding JWT not exist"}[i%4])
	}
}

// The JSON serialisations that they make of an SD-JWT+KB are read as the compact form.
func TestJSON(t *testing.T) {
	a, holder := newAuthority(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	paths, _ := selection()
	p, err := sdjwt.Select(a.issue(t, a.params(t, holder, person(t))), paths)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Sign(t.Context(), sdjwt.KeyBinding{Audience: audience, Nonce: nonce, IssuedAt: now}, holder); err != nil {
		t.Fatal(err)
	}
	got := peer.Done(t, task{"do": "json", "credential": p.String()})[0]
	for what, text := range map[string]json.RawMessage{"flattened": got.Flattened, "general": got.General} {
		s, err := sdjwt.ParseJSON(text, sdjwt.Limits{})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if _, report := sdjwt.Verify(s, a.verify(t)); !report.OK() || s.String() != p.String() {
			t.Errorf("%s:\n%s", what, report)
		}
	}
}

// Type metadata of the PID, and of a type that extends it, are read by them,
// and the chain comes to the same.
func TestTypeMetadata(t *testing.T) {
	a, holder := newAuthority(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	base, err := pid(t).TypeMetadata("")
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	const vct = "urn:eudi:pid:ut:1"
	child := []byte(`{"vct":"` + vct + `","extends":"` + base.VCT + `","extends#integrity":"` + sdjwt.Integrity(document) +
		`","claims":[{"path":["shoe_size"],"sd":"always","display":[{"locale":"en","label":"Shoe size"}]}]}`)
	documents := map[string][]byte{base.VCT: document, vct: child}
	p := a.params(t, holder, person(t))
	p.VCT, p.VCTIntegrity = vct, sdjwt.Integrity(child)
	text := a.issue(t, p)
	v := a.verifying(t, text)
	v["typeMetadata"] = map[string]json.RawMessage{base.VCT: document, vct: child}
	got := peer.Done(t, v)[0]

	ours, err := sdjwt.ResolveType(vct, p.VCTIntegrity, documents)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := sdjwt.ParseTypeMetadata(got.Type)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ours, theirs); diff != "" {
		t.Errorf("resolved (-ours +theirs):\n%s", diff)
	}
	payload, err := parse(t, text).Unverified()
	if err != nil {
		t.Fatal(err)
	}
	if r := ours.Check(payload, true); !r.OK() {
		t.Errorf("issued:\n%s", r)
	}
}

// What 0.19.0 accepts against RFC 9901. When one of these fails, the package
// has become stricter: README.md says where they stand.
func TestDeviations(t *testing.T) {
	a, holder := newAuthority(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	text := a.issue(t, a.params(t, holder, person(t)))
	s := parse(t, text)
	first := s.Disclosures[0].Encoded
	cut := strings.LastIndexByte(text, '~')
	stray := text[:cut] + "~" + base64.RawURLEncoding.EncodeToString([]byte(`["c2FsdA","stray",1]`)) + "~"
	twice := text[:cut] + "~" + first + "~"
	for what, wrong := range map[string]string{"a disclosure that no digest refers to": stray, "a disclosure sent twice": twice} {
		if _, report := sdjwt.VerifyIssued(parse(t, wrong), a.verify(t)); report.OK() {
			t.Errorf("%s: we accepted it", what)
		}
		if got := peer.Ask(t, a.verifying(t, wrong))[0]; !got.OK {
			t.Errorf("%s: they refuse it now: %s", what, got.Why)
		}
	}
	expired := a.verifying(t, text)
	expired["now"] = now.Truncate(24*time.Hour).AddDate(0, 0, 14).Unix()
	if got := peer.Ask(t, expired)[0]; !got.OK {
		t.Errorf("at the second of exp: they refuse it now: %s", got.Why)
	}
	at := a.verify(t)
	at.Now = now.Truncate(24*time.Hour).AddDate(0, 0, 14)
	if _, report := sdjwt.VerifyIssued(s, at); report.OK() {
		t.Error("at the second of exp: we accepted it")
	}
}

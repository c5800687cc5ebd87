package sdjwt_test

import (
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/testkit"
)

func TestIssue(t *testing.T) {
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	p := a.params(holder, person()...)
	p.VCTIntegrity, p.AlsoVCTs, p.Issuer, p.Decoys = sdjwt.Integrity([]byte("{}")), []string{"urn:example:pid"}, "https://issuer.example", 2
	text := a.issue(t, p)
	if !strings.HasSuffix(text, "~") {
		t.Error("does not end in a tilde")
	}
	s := parse(t, text)
	res, report := sdjwt.VerifyIssued(s, sdjwt.VerifyParams{Now: now, ValidateChain: a.validate, VCT: "urn:example:pid"})
	if !report.OK() || len(report.Failed()) != 0 {
		t.Fatalf("refused:\n%s", report)
	}
	if !key.Equal(res.HolderKey, holder.Public()) || res.VCT != vct || !slices.Equal(res.AlsoVCTs, p.AlsoVCTs) || res.HolderVerified ||
		!res.IssuedAt.Equal(p.IssuedAt) || !res.NotBefore.Equal(p.NotBefore) || !res.Expires.Equal(p.Expires) ||
		res.Status == nil || res.Status.List.Index != 4711 {
		t.Errorf("result %+v", res)
	}
	// The JWT shows nothing but what is never hidden, and its digests are sorted.
	var plain map[string]json.RawMessage
	if err := json.Unmarshal(s.Token.Payload, &plain); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range plain {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"_sd", "_sd_alg", "aka_vcts", "cnf", "exp", "iat", "iss", "issuing_country", "nationalities", "nbf", "status", "vct", "vct#integrity"}
	if !slices.Equal(names, want) {
		t.Errorf("members %v, want %v", names, want)
	}
	digests := as[[]string](t, plain["_sd"])
	if len(digests) != 4+2 || !slices.IsSorted(digests) {
		t.Errorf("digests %v", digests)
	}
	if elements := as[[]map[string]string](t, plain["nationalities"]); len(elements) != 2+2 {
		t.Errorf("elements %v", elements)
	}
	if cnf := as[map[string]map[string]string](t, plain["cnf"]); len(cnf) != 1 || len(cnf["jwk"]) != 4 {
		t.Errorf("cnf %v", cnf)
	}
	salts := map[string]bool{}
	for _, d := range s.Disclosures {
		salt, err := jose.Decode(d.Salt)
		if err != nil || len(salt) != 16 || salts[d.Salt] {
			t.Errorf("salt %q: %v", d.Salt, err)
		}
		salts[d.Salt] = true
	}
	if len(s.Disclosures) != 13 {
		t.Errorf("%d disclosures", len(s.Disclosures))
	}
}

func TestIssueWithoutDisclosures(t *testing.T) {
	a := newAuthority(t)
	text := a.issue(t, a.params(nil, sdjwt.Node{Name: "x", SD: sdjwt.Never, Value: json.RawMessage(`1`)}))
	s := parse(t, text)
	if strings.Contains(string(s.Token.Payload), "_sd") { // SD-JWT VC draft 18, 2.2.2.5
		t.Errorf("payload %s", s.Token.Payload)
	}
	if k, err := s.HolderKey(); k != nil || err != nil {
		t.Errorf("holder key %v, %v", k, err)
	}
	p, err := s.Select(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Sign(t.Context(), binding, testkit.Signer(t, elliptic.P256())); !errors.Is(err, sdjwt.ErrKey) {
		t.Errorf("key binding of what is bound to no key: %v", err)
	}
}

func TestIssueAlgorithms(t *testing.T) {
	a := newAuthority(t)
	for _, signer := range []*testkit.Key{testkit.Signer(t, elliptic.P384()), testkit.Signer(t, elliptic.P521()), testkit.Ed25519(t)} {
		for _, hash := range []string{"sha-256", "sha-384", "sha-512"} {
			p := a.params(signer, person()...)
			p.DigestAlgorithm, p.Decoys = hash, 1
			text, err := sdjwt.Issue(t.Context(), p, signer)
			if err != nil {
				t.Fatal(err)
			}
			shown := parse(t, present(t, text, signer, sdjwt.Path{"address"}))
			v := a.verify()
			v.Issuer.Key = signer.Public()
			if _, report := sdjwt.Verify(shown, v); !report.OK() {
				t.Errorf("%s:\n%s", hash, report)
			}
			v.Algorithms = []key.Algorithm{key.ES256}
			if _, report := sdjwt.Verify(shown, v); len(report.Failed()) != 2 {
				t.Errorf("%s, only ES256 accepted:\n%s", hash, report)
			}
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	deep := leaf("x", 1)
	for range 20 {
		deep = sdjwt.Node{Name: "x", Members: []sdjwt.Node{deep}}
	}
	for name, c := range map[string]struct {
		change func(*sdjwt.IssueParams)
		want   error
	}{
		"no vct":          {func(p *sdjwt.IssueParams) { p.VCT = "" }, sdjwt.ErrSyntax},
		"vct with http":   {func(p *sdjwt.IssueParams) { p.VCT = "http://issuer.example/pid" }, sdjwt.ErrSyntax},
		"integrity":       {func(p *sdjwt.IssueParams) { p.VCTIntegrity = "md5-xx" }, sdjwt.ErrMetadata},
		"vct twice":       {func(p *sdjwt.IssueParams) { p.AlsoVCTs = []string{vct} }, sdjwt.ErrSyntax},
		"no chain":        {func(p *sdjwt.IssueParams) { p.Chain = nil }, sdjwt.ErrSyntax},
		"expired before":  {func(p *sdjwt.IssueParams) { p.Expires = p.NotBefore }, sdjwt.ErrSyntax},
		"before 1970":     {func(p *sdjwt.IssueParams) { p.IssuedAt = time.Unix(-5, 0) }, sdjwt.ErrSyntax},
		"empty status":    {func(p *sdjwt.IssueParams) { p.Status = &status.Claim{} }, sdjwt.ErrSyntax},
		"identifier list": {func(p *sdjwt.IssueParams) { p.Status.Identifier = &status.IdentifierReference{} }, sdjwt.ErrSyntax},
		"hash":            {func(p *sdjwt.IssueParams) { p.DigestAlgorithm = "md5" }, sdjwt.ErrUnsupported},
		"decoys":          {func(p *sdjwt.IssueParams) { p.Decoys = -1 }, sdjwt.ErrLimit},
		"digests":         {func(p *sdjwt.IssueParams) { p.Digests = -1 }, sdjwt.ErrLimit},
		"holder key":      {func(p *sdjwt.IssueParams) { p.HolderKey = "key" }, sdjwt.ErrKey},
		"registered":      {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{leaf("exp", 1)} }, sdjwt.ErrSyntax},
		"iat":             {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{leaf("iat", 1)} }, sdjwt.ErrSyntax},
		"twice":           {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{leaf("a", 1), leaf("a", 2)} }, sdjwt.ErrSyntax},
		"_sd":             {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{leaf("_sd", 1)} }, sdjwt.ErrSyntax},
		"...":             {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{leaf("...", 1)} }, sdjwt.ErrSyntax},
		"_sd inside":      {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{leaf("a", map[string]any{"_sd": []string{}})} }, sdjwt.ErrSyntax},
		"... inside":      {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{leaf("a", []any{map[string]string{"...": ""}})} }, sdjwt.ErrSyntax},
		"no value":        {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{{Name: "a"}} }, sdjwt.ErrSyntax},
		"two values": {func(p *sdjwt.IssueParams) {
			p.Claims = []sdjwt.Node{{Name: "a", Value: json.RawMessage("1"), Elements: []sdjwt.Node{}}}
		}, sdjwt.ErrSyntax},
		"no JSON":           {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{{Name: "a", Value: json.RawMessage("{")}} }, sdjwt.ErrSyntax},
		"member of a claim": {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{{Name: "a", Value: json.RawMessage(`1,"b":2`)}} }, sdjwt.ErrSyntax},
		"policy": {func(p *sdjwt.IssueParams) {
			p.Claims = []sdjwt.Node{{Name: "a", SD: "sometimes", Value: json.RawMessage(`1`)}}
		}, sdjwt.ErrSyntax},
		"nested too deeply":  {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{deep} }, sdjwt.ErrLimit},
		"too many":           {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{{Name: "a", Elements: many(2000)}} }, sdjwt.ErrLimit},
		"element of no kind": {func(p *sdjwt.IssueParams) { p.Claims = []sdjwt.Node{{Name: "a", Elements: make([]sdjwt.Node, 1)}} }, sdjwt.ErrSyntax},
	} {
		p := a.params(holder)
		c.change(&p)
		if _, err := sdjwt.Issue(t.Context(), p, a.key); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	prepared, err := sdjwt.PrepareIssue(a.params(holder), a.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepared.Finish(make([]byte, 63)); !errors.Is(err, sdjwt.ErrKey) {
		t.Errorf("short signature: %v", err)
	}
}

func many(n int) []sdjwt.Node {
	out := make([]sdjwt.Node, n)
	for i := range out {
		out[i] = leaf("", i)
	}
	return out
}

func TestPresent(t *testing.T) {
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	stored := a.issue(t, a.params(holder, person()...))
	for _, c := range []struct {
		paths []sdjwt.Path
		want  string // beside what is never hidden
	}{
		{nil, `{"nationalities":[]}`},
		{[]sdjwt.Path{{"family_name"}}, `{"nationalities":[],"family_name":"Sommerfeld"}`},
		{[]sdjwt.Path{{"address", "country"}}, `{"nationalities":[],"address":{"kind":"home","country":"UT"}}`},
		{[]sdjwt.Path{{"address", "kind"}}, `{"nationalities":[],"address":{"kind":"home"}}`},
		{[]sdjwt.Path{{"address"}}, `{"nationalities":[],"address":{"kind":"home","country":"UT","locality":"Capital"}}`},
		{[]sdjwt.Path{{"nationalities", 1}}, `{"nationalities":["XA"]}`},
		{[]sdjwt.Path{{"nationalities", nil}, {"nationalities", 0}}, `{"nationalities":["UT","XA"]}`},
		{[]sdjwt.Path{{"degrees", 0, "year"}}, `{"nationalities":[],"degrees":[{"year":2007}]}`},
		{[]sdjwt.Path{{"degrees", 1, "year"}}, `{"nationalities":[],"degrees":[{},{"year":2011}]}`},
		{[]sdjwt.Path{{"degrees", nil, "field"}}, `{"nationalities":[],"degrees":[{"field":"physics"},{"field":"law"}]}`},
		{[]sdjwt.Path{{"vct"}}, `{"nationalities":[]}`},
	} {
		shown := parse(t, present(t, stored, holder, c.paths...))
		res, report := sdjwt.Verify(shown, a.verify())
		if !report.OK() || !res.HolderVerified {
			t.Fatalf("%v:\n%s", c.paths, report)
		}
		got := as[map[string]any](t, res.Payload.JSON())
		for _, name := range []string{"vct", "iat", "nbf", "exp", "cnf", "status", "issuing_country"} {
			if got[name] == nil {
				t.Errorf("%v: no %s", c.paths, name)
			}
			delete(got, name)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, "payload", text, json.RawMessage(c.want))
		for _, path := range c.paths {
			if claims, err := res.Payload.Select(path); err != nil || len(claims) == 0 {
				t.Errorf("%v selects %v, %v", path, claims, err)
			}
		}
	}
	for _, path := range []sdjwt.Path{{}, {"nothing"}, {"nationalities", 2}, {"family_name", "x"}, {"address", 0}, {"nationalities", "x"}} {
		if _, err := sdjwt.Select(stored, []sdjwt.Path{path}); !errors.Is(err, sdjwt.ErrNoClaim) {
			t.Errorf("%v: %v", path, err)
		}
	}
	p, err := sdjwt.Select(stored, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Finish(make([]byte, 64)); !errors.Is(err, sdjwt.ErrSyntax) {
		t.Errorf("not prepared: %v", err)
	}
	if err := p.Sign(t.Context(), binding, testkit.Signer(t, elliptic.P256())); !errors.Is(err, sdjwt.ErrKey) {
		t.Errorf("another key: %v", err)
	}
	if err := p.Sign(t.Context(), sdjwt.KeyBinding{IssuedAt: now}, holder); !errors.Is(err, sdjwt.ErrSyntax) {
		t.Errorf("no audience: %v", err)
	}
	if s := parse(t, p.String()); s.KeyBinding != nil || len(s.Disclosures) != 0 {
		t.Error("not the bare SD-JWT")
	}
}

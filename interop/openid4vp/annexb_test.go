package openid4vp_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// The package also speaks the drafts before version 1.0, and so the profile of
// draft 18 that ISO/IEC TS 18013-7, Annex B is.

const licenceDefinition = `{"id":"a question","input_descriptors":[{"id":"org.iso.18013.5.1.mDL","format":{"mso_mdoc":{"alg":["ES256"]}},
	"constraints":{"limit_disclosure":"required","fields":[
		{"path":["$['org.iso.18013.5.1']['family_name']"],"intent_to_retain":false},
		{"path":["$['org.iso.18013.5.1']['age_over_18']"],"intent_to_retain":false}]}}]}`

// annexB is what an mdoc is bound to where the wallet adds a nonce of its own.
// ISO/IEC TS 18013-7 (draft N2544), B.4.4.
func (b bound) annexB(generated string) binding {
	return binding{transcript: mdoc.TranscriptOpenID4VPDraft18(b.ClientID, b.ResponseURI, b.Nonce, generated)}
}

// asking18 is a request of draft 18, signed by the certificate.
func (r *relyingParty) asking18() task {
	a := r.asking(verifierHost, oid4vp.DirectPostJWT, formats()[0])
	a["scheme"] = oid4vp.AnnexBScheme + "://"
	payload := a["payload"].(map[string]any)
	delete(payload, "dcql_query")
	payload["client_id_scheme"], payload["presentation_definition"] = "x509_san_dns", json.RawMessage(licenceDefinition)
	payload["client_metadata"] = map[string]any{
		"authorization_encrypted_response_alg": "ECDH-ES", "authorization_encrypted_response_enc": "A256GCM",
		"vp_formats": map[string]any{"mso_mdoc": map[string]any{"alg": []string{"ES256"}}},
	}
	return a
}

// Their verifier asks by the older profile, our app answers.
func TestTheirVerifierOfAnnexB(t *testing.T) {
	u := newUtopia(t)
	r := u.relyingParty(t)
	a := u.newApp(t, r.fetch)
	f := formats()[0]
	entry, redirect, err := a.Answer(t.Context(), r.begin(r.asking18()))
	if err != nil || redirect != verifierURL+"/done" || entry.Party.Standing != assure.ReaderTrusted {
		t.Fatalf("to %q, asked by %+v: %v", redirect, entry.Party, err)
	}
	got := r.read()
	if !got.OK || len(got.Presentations[""]) != 1 || len(got.Submission.Map) != 1 || got.Submission.DefinitionID != "a question" {
		t.Fatalf("they read %+v", got)
	}
	if diff := cmp.Diff(descriptor{mdoc.DocTypeMDL, "mso_mdoc", "$"}, got.Submission.Map[0]); diff != "" {
		t.Error(diff)
	}
	generated, err := base64.RawURLEncoding.DecodeString(got.Header.APU)
	if err != nil || got.Header.APV != base64.RawURLEncoding.EncodeToString([]byte(r.begun.Bound.Nonce)) {
		t.Errorf("encrypted with %+v: %v", got.Header, err)
	}
	u.expect(t, "Annex B", f, got.Presentations[""][0], r.begun.Bound.annexB(string(generated)))
	if _, err := u.verify(t, f, got.Presentations[""][0], r.begun.Bound.annexB("another")); err == nil {
		t.Error("verified with another nonce")
	}

	before := len(a.asked)
	for what, link := range map[string]string{
		"another client in the link": strings.Replace(r.begin(r.asking18()), verifierHost, "other.example", 1),
		"a name that is not in the certificate": func() string {
			ask := r.asking18()
			ask["payload"].(map[string]any)["client_id"] = "other.example"
			return r.begin(ask)
		}(),
	} {
		if _, _, err := a.Answer(t.Context(), link); err == nil {
			t.Errorf("%s: answered", what)
		}
	}
	r.served = altered
	if _, _, err := a.Answer(t.Context(), r.begin(r.asking18())); err == nil {
		t.Error("another state: answered")
	}
	if len(a.asked) != before {
		t.Error("the holder was asked")
	}
}

// Our verifier asks by the older profile, their wallet answers.
func TestTheirWalletOfAnnexB(t *testing.T) {
	h := newUtopia(t).house(t)
	const tenant, generated = verifier.ClientX509SANDNS, "a nonce of theirs"
	f := formats()[0]
	answered := func(b func(bound) binding, device *testkit.Key) (answer, verifier.Outcome) {
		t.Helper()
		tr := h.begin(tenant, f)
		link, err := h.AnnexBLink(t.Context(), tenantID(tenant), tr.ID)
		if err != nil {
			t.Fatal(err)
		}
		o := peer.Done(t, h.opening(link))[0]
		if o.Prefix != "x509_san_dns" || o.Bound.ClientID != "localhost" || len(o.Definition.Descriptors) != 1 {
			t.Fatalf("they read %+v", o)
		}
		sent := peer.Done(t, task{"do": "answer", "id": o.ID, "nonce": generated, "payload": map[string]any{
			"vp_token":                f.present(t, f.issue(h.utopia, t, h.device.Public()), b(o.Bound), device, ""),
			"presentation_submission": submission{"one", o.Definition.ID, []descriptor{{o.Definition.Descriptors[0].ID, "mso_mdoc", "$"}}},
		}})[0]
		return sent, h.outcome(tr, tenant)
	}
	right := func(b bound) binding { return b.annexB(generated) }
	sent, got := answered(right, h.device)
	if sent.Status != http.StatusOK || got.State != verifier.Done || !got.Result.OK() {
		t.Fatalf("we replied %d %+v: %+v", sent.Status, sent.Reply, got)
	}
	var ids []string
	for _, e := range got.Result.Documents[0].Elements {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	if diff := cmp.Diff([]string{"age_over_18", "family_name"}, ids); diff != "" {
		t.Error(diff)
	}
	for what, again := range map[string]func() (answer, verifier.Outcome){
		"another nonce of theirs": func() (answer, verifier.Outcome) {
			return answered(func(b bound) binding { return b.annexB("another") }, h.device)
		},
		"version 1.0": func() (answer, verifier.Outcome) {
			return answered(func(b bound) binding { return b.binding(t) }, h.device)
		},
		"another device": func() (answer, verifier.Outcome) { return answered(right, testkit.Signer(t, elliptic.P256())) },
	} {
		sent, got := again()
		if sent.Status != http.StatusBadRequest || got.Result == nil || got.Result.Verdict != core.Invalid {
			t.Errorf("%s: we replied %d %+v: %+v", what, sent.Status, sent.Reply, got)
		}
	}
}

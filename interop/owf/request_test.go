package owf_test

import (
	"crypto/elliptic"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/google/go-cmp/cmp"
)

// wanted is the selection as a request.
func wanted(refs []mdoc.ElementRef) []mdoc.DocRequest {
	r := mdoc.DocRequest{DocType: mdoc.DocTypeMDL}
	for _, ref := range refs {
		if n := len(r.NameSpaces); n == 0 || r.NameSpaces[n-1].Name != ref.NameSpace {
			r.NameSpaces = append(r.NameSpaces, mdoc.RequestedNameSpace{Name: ref.NameSpace})
		}
		ns := &r.NameSpaces[len(r.NameSpaces)-1]
		ns.Elements = append(ns.Elements, mdoc.RequestedElement{ID: ref.ID, IntentToRetain: ref.ID == "portrait"})
	}
	return []mdoc.DocRequest{r}
}

// asking is our request for the selection, signed if there is a reader.
func asking(t testing.TB, reader *mdoc.ReaderSigner) []byte {
	t.Helper()
	b, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{Documents: wanted(selection()), Reader: reader})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// named is a request as the peer tells it.
func named(r mdoc.DocRequest) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, ns := range r.NameSpaces {
		out[ns.Name] = map[string]bool{}
		for _, e := range ns.Elements {
			out[ns.Name][e.ID] = e.IntentToRetain
		}
	}
	return out
}

// They understand what we ask and who asks, in every conversation; a changed
// request is a forgery.
func TestOurRequests(t *testing.T) {
	reader := newAuthority(t, pki.ReaderCA, pki.ReaderAuth, elliptic.P256())
	want := named(wanted(selection())[0])
	meetings := conversations(t)
	var tasks []task
	for _, c := range meetings {
		request := asking(t, &mdoc.ReaderSigner{Key: reader.key, Chain: [][]byte{reader.signer.Raw}, Transcript: c.transcript})
		forged := flipped(t, request, []byte("driving_privileges"), "element", "")
		tasks = append(tasks,
			task{"do": "asked", "request": hexes(request)[0], "transcript": c.told},
			task{"do": "asked", "request": hexes(forged.bytes)[0], "transcript": c.told})
	}
	answers := peer.Ask(t, tasks...)
	for i, c := range meetings {
		a := answers[2*i]
		if !a.OK || a.Version != "1.0" || len(a.Documents) != 1 || !a.Documents[0].Authenticated || a.Documents[0].DocType != mdoc.DocTypeMDL {
			t.Fatalf("%s: %+v", c.name, a)
		}
		if diff := cmp.Diff(want, a.Documents[0].NameSpaces); diff != "" {
			t.Errorf("%s (-asked +understood):\n%s", c.name, diff)
		}
		refused(t, c.name+", one bit changed", answers[2*i+1], "Signature is invalid on the reader auth")
	}
}

// A request of the second edition, signed as a whole, is one that they answer
// as if it were of the first: they pass over what they do not know.
func TestOurRequestOfTheSecondEdition(t *testing.T) {
	c := conversations(t)[0]
	reader := newAuthority(t, pki.ReaderCA, pki.ReaderAuth, elliptic.P256())
	request, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{
		Documents: wanted(selection()),
		Info:      &mdoc.DeviceRequestInfo{UseCases: []mdoc.UseCase{{Mandatory: true, DocumentSets: [][]int{{0}}}}},
		Reader:    &mdoc.ReaderSigner{Key: reader.key, Chain: [][]byte{reader.signer.Raw}, Transcript: c.transcript, All: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := presentation{issuer: newIssuer(t, elliptic.P256()), conversation: c}
	p.issuerSigned = p.issuer.issue(t, c.device, licence())
	answers := peer.Done(t, task{"do": "asked", "request": hexes(request)[0], "transcript": c.told}, p.them(t, request))
	if a := answers[0]; a.Version != "1.1" || len(a.Documents) != 1 || a.Documents[0].Authenticated {
		t.Errorf("%+v", a)
	}
	doc, report := p.verify(t, unhex(t, answers[1].Response), c.transcript)
	if diff := cmp.Diff(spelled(only(licence(), selection())), spelled(doc.NameSpaces)); !report.OK() || diff != "" {
		t.Errorf("%v (-asked for +read):\n%s", noteworthy(report), diff)
	}
}

// We understand what they ask and who asks; a changed request is a forgery.
// Our answer satisfies them.
func TestTheirRequests(t *testing.T) {
	reader := newAuthority(t, pki.ReaderCA, pki.ReaderAuth, elliptic.P384())
	anchors := reader.trusting(t, trustlist.Reader)
	want := wanted(selection())
	meetings := conversations(t)
	tasks := make([]task, len(meetings))
	for i, c := range meetings {
		tasks[i] = task{
			"do": "request", "docType": mdoc.DocTypeMDL, "nameSpaces": named(want[0]), "transcript": c.told,
			"reader": reader.key.JWK(t), "chain": hexes(reader.signer.Raw),
		}
	}
	issuer := newIssuer(t, elliptic.P256())
	var verifying []task
	for i, a := range peer.Done(t, tasks...) {
		c, request := meetings[i], unhex(t, a.Request)
		r, err := mdoc.ParseDeviceRequest(request)
		if err != nil || len(r.Documents) != 1 || r.Documents[0].DocType != mdoc.DocTypeMDL {
			t.Fatalf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(named(want[0]), named(r.Documents[0])); diff != "" {
			t.Errorf("%s (-asked +understood):\n%s", c.name, diff)
		}
		who, report := assure.VerifyReaderAuth(r, c.transcript, anchors, now, assure.ChainOptions{})
		if who.Standing != assure.ReaderTrusted || who.Name != "Utopia Roads" || !report.OK() {
			t.Errorf("%s: %s %q: %v", c.name, who.Standing, who.Name, noteworthy(report))
		}
		forged, err := mdoc.ParseDeviceRequest(flipped(t, request, []byte("driving_privileges"), "element", "").bytes)
		if err != nil {
			t.Fatal(err)
		}
		if who, _ := assure.VerifyReaderAuth(forged, c.transcript, anchors, now, assure.ChainOptions{}); who.Standing != assure.ReaderForged {
			t.Errorf("%s, one bit changed: %s", c.name, who.Standing)
		}
		p := presentation{name: c.name, issuer: issuer, conversation: c, issuerSigned: issuer.issue(t, c.device, licence())}
		p.us(t)
		verifying = append(verifying, p.verifying(t, p.response, request, c.told))
	}
	peer.Done(t, verifying...)
}

// They answer a question for an age that the document does not have with the
// nearest true one, as the standard has it.
func TestNearestTrueAge(t *testing.T) {
	c := conversations(t)[0]
	p := presentation{issuer: newIssuer(t, elliptic.P256()), conversation: c}
	p.issuerSigned = p.issuer.issue(t, c.device, licence())
	request, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{Documents: wanted([]mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "age_over_19"}})})
	if err != nil {
		t.Fatal(err)
	}
	doc, report := p.verify(t, unhex(t, peer.Done(t, p.them(t, request))[0].Response), c.transcript)
	want := spelled(only(licence()[:1], []mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "age_over_21"}}))
	if diff := cmp.Diff(want, spelled(doc.NameSpaces)); !report.OK() || diff != "" {
		t.Errorf("%v (-expected +read):\n%s", noteworthy(report), diff)
	}
}

// The deviations that README.md lists, so that a version of the package
// without them makes itself known.

// A MAC of theirs, made in one go, names a signature algorithm and is over
// three members instead of four: we refuse it.
func TestDeviationOfTheirMAC(t *testing.T) {
	c := conversations(t)[0]
	p := presentation{issuer: newIssuer(t, elliptic.P256()), conversation: c, mac: true}
	p.issuerSigned = p.issuer.issue(t, c.device, licence())
	presenting := p.them(t, asking(t, nil))
	presenting["wholesale"] = true
	response := unhex(t, peer.Done(t, presenting)[0].Response)
	_, report := p.verify(t, response, c.transcript)
	if failed := report.Failed(); len(failed) != 1 || !strings.Contains(failed[0].Seen, "COSE algorithm not acceptable: ES256") {
		t.Errorf("failed: %+v", failed)
	}
}

// No MAC, not even a right one, passes their verifier as a whole.
func TestDeviationOfTheirMACVerifier(t *testing.T) {
	c := conversations(t)[0]
	p := presentation{issuer: newIssuer(t, elliptic.P256()), conversation: c, mac: true}
	p.issuerSigned = p.issuer.issue(t, c.device, licence())
	p.us(t)
	verifying := p.verifying(t, p.response, asking(t, nil), c.told)
	verifying["wholesale"] = true
	refused(t, "our MAC", peer.Ask(t, verifying)[0], "Device MAC must use alg 5")
}

// Their digestIDs have 32 bits where the standard allows 31. They are read, with
// a warning; a careful issuer would not release such a document.
func TestDeviationOfTheirDigestIDs(t *testing.T) {
	a := newIssuer(t, elliptic.P256())
	issuing := a.issuing(t, testkit.Signer(t, elliptic.P256()), licence())
	issuing["largeDigestIDs"] = true
	raw := unhex(t, peer.Done(t, issuing)[0].IssuerSigned)
	signed, err := mdoc.ParseIssuerSigned(raw)
	if err != nil {
		t.Fatal(err)
	}
	_, report := assure.VerifyIssued(t.Context(), signed, assure.DocumentParams{Now: now, Anchors: a.trusting(t, trustlist.Issuer)})
	if c, ok := report.Find("digest identifier"); !report.OK() || !ok || c.Outcome != check.Warn {
		t.Errorf("a digestID of 2^31 or more:\n%s", report)
	}
	if lint := mdoc.Lint(raw); lint.OK() {
		t.Error("a digestID of 2^31 or more is no matter to Lint")
	}
}

// They check digests over elements that they encoded again, and write every
// fraction in 64 bits.
func TestDeviationOfTheirFractions(t *testing.T) {
	a := newIssuer(t, elliptic.P256())
	content := licence()
	content[1].Elements = append(content[1].Elements, mdoc.Element{ID: "fraction", Value: []byte{0xf9, 0x3e, 0x00}}) // 1.5 in 16 bits
	b := a.issue(t, testkit.Signer(t, elliptic.P256()), content)
	answers := peer.Ask(t, task{"do": "accept", "issuerSigned": hexes(b)[0], "anchors": hexes(a.root.Raw), "now": now})
	refused(t, "1.5 in 16 bits", answers[0], "/fraction attribute must match the digest")
	p := assure.DocumentParams{Now: now, Anchors: a.trusting(t, trustlist.Issuer)}
	if _, report := assure.VerifyIssued(t.Context(), reparse(t, b), p); !report.OK() {
		t.Errorf("we refused 1.5 in 16 bits: %v", noteworthy(report))
	}
}

// They refuse to answer at all if one element is not there.
func TestDeviationOfTheirMissingElements(t *testing.T) {
	c := conversations(t)[0]
	p := presentation{issuer: newIssuer(t, elliptic.P256()), conversation: c}
	p.issuerSigned = p.issuer.issue(t, c.device, licence()[:1])
	refused(t, "a request for a missing name space", peer.Ask(t, p.them(t, asking(t, nil)))[0], "No matching field found")
}

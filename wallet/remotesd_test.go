package wallet_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
	"github.com/eidos-id/eidos/wallet"
)

const pidVCT = "urn:eudi:pid:1"

// issueSD signs a PID as SD-JWT VC for each key of a request.
func (w *world) issueSD(ctx context.Context, req *oid4vci.CredentialRequest) (oid4vci.Answer, error) {
	t, _ := doctype.Builtin().ByID("pid")
	elements := map[doctype.Name][]byte{}
	for id, value := range map[string]any{
		"family_name": "Muster", "given_name": "Erika", "birth_date": "1984-01-26", "nationality": []any{"UT", "XA"},
		"place_of_birth": map[string]any{"country": "UT", "locality": "Capital"}, "portrait": portraitJPEG(),
		"resident_city": "Utopolis", "resident_country": "UT", "personal_administrative_number": "4711", "issuing_country": "UT", "issuing_authority": "Utopia Registry",
	} {
		el, ok := t.Element(t.DocType, id)
		if !ok {
			w.t.Errorf("no element %s", id)
		}
		data, err := el.Encode(value)
		if err != nil {
			w.t.Error(err)
		}
		elements[el.Name()] = data
	}
	claims, err := t.SDJWTClaims(elements)
	if err != nil {
		return oid4vci.Answer{}, err
	}
	midnight := w.Now().Truncate(24 * time.Hour)
	var out []string
	for _, pub := range req.Keys {
		w.next++
		text, err := sdjwt.Issue(ctx, sdjwt.IssueParams{VCT: w.vct, VCTIntegrity: w.vctHash, IssuedAt: midnight, NotBefore: midnight, Expires: midnight.AddDate(0, 0, 14),
			HolderKey: pub, Claims: claims, Chain: w.sdSigner.chain(), Decoys: 2,
			Status: &status.Claim{List: &status.ListReference{Index: w.next, URI: issuerURL + "/status/1"}}}, w.sdSigner)
		if err != nil {
			return oid4vci.Answer{}, err
		}
		out = append(out, text)
	}
	return oid4vci.Answer{Credentials: out, Notification: fmt.Sprint("n", w.next)}, nil
}

// holderSD is a device with a PID as SD-JWT VC on it and nothing else.
func (w *world) holderSD() (*device, wallet.Document) { return w.holderSDWith(nil) }

func (w *world) holderSDWith(change func(*wallet.Config, *wallet.Deps)) (*device, wallet.Document) {
	w.t.Helper()
	d := w.device(change)
	if _, err := d.Install(context.Background(), providerURL); err != nil {
		w.t.Fatal(err)
	}
	docs, err := d.take(w.offer("", "sd"), wallet.AcceptOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d, docs[0]
}

// verify judges what the relying party got.
func (v *relyingParty) verify() core.Result {
	v.w.t.Helper()
	asked, err := query.ParseDCQL(v.tx.DCQL)
	if err != nil {
		v.w.t.Fatal(err)
	}
	p := core.VerifyParams{Asked: asked, Anchors: v.w.anchors, Now: v.w.Now(),
		Transcript: v.got.Transcript, Audience: v.got.Audience, Nonce: v.got.Nonce, TransactionElements: v.elements}
	if len(v.got.Transactions) > 0 {
		p.Transactions = func(found map[string][]sdjwt.TransactionHashes) error {
			return oid4vp.CheckTransactions(v.got.Transactions, found)
		}
	}
	r, err := core.VerifyPresentations(context.Background(), v.got.Presentations, p)
	if err != nil {
		v.w.t.Fatal(err)
	}
	return r
}

func pidQuery(claims string, more string) string {
	return `{"credentials":[{"id":"pid","format":"dc+sd-jwt","meta":{"vct_values":["urn:eudi:pid:1"]}` + more + `,"claims":[` + claims + `]}]}`
}

// cardVCT is a type that is not known to the app, and described by its issuer.
const cardVCT = "https://bank.example/types/card"

func cardQuery() string {
	return strings.ReplaceAll(strings.ReplaceAll(pidQuery(`{"path":["family_name"]}`, ""), "urn:eudi:pid:1", cardVCT), `"id":"pid"`, `"id":"card"`)
}

func TestAnswerSDJWT(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, doc := w.holderSD()
	v := w.relyingParty(rp)
	entry, _, err := d.Answer(t.Context(), v.link(pidQuery(`{"path":["family_name"],"intent_to_retain":true},{"path":["birthdate"]},{"path":["nationalities",null]},
		{"path":["place_of_birth","locality"]},{"path":["picture"]},{"path":["personal_administrative_number"]}`, "")))
	if err != nil {
		t.Fatal(err)
	}
	r := v.verify()
	if r.Verdict != core.Valid || len(r.Documents) != 1 || r.Documents[0].Device != "signature" || r.Documents[0].Format != query.FormatSDJWT {
		t.Fatalf("%s: %+v", r.Reason, r)
	}
	var got []string
	for _, e := range r.Documents[0].Elements {
		got = append(got, e.Path.String()+" "+e.Label+": "+e.Text)
	}
	want := []string{`["family_name"] Family name: Muster`, `["birthdate"] Date of birth: 26 January 1984`, `["nationalities",null] Nationality: UT, XA`,
		`["place_of_birth","locality"] Town of birth: Capital`, `["picture"] Photo: image, 21 KiB`, `["personal_administrative_number"] Personal number: 4711`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(r.Documents[0].Portrait) == 0 || r.Documents[0].PortraitType != "image/jpeg" {
		t.Error("no portrait")
	}

	// Nothing else left the device: not the second place, nor any other claim.
	s, err := sdjwt.Parse(v.got.Presentations["pid"][0], sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, disclosure := range s.Disclosures {
		names = append(names, disclosure.Name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"", "", "birthdate", "family_name", "locality", "nationalities", "personal_administrative_number", "picture", "place_of_birth"}, names); diff != "" {
		t.Error(diff)
	}

	// The holder saw the same, in words, and the log has the paths.
	q := d.consent.last()
	for _, says := range []string{"Family name: Muster", "Date of birth: 26 January 1984", "Nationality: UT\n      XA", "Town of birth: Capital", "will be kept",
		"It asks for what needs particular care: Photo, Personal number.", "keep 1 of the 6"} {
		if !strings.Contains(q.Text(), says) {
			t.Errorf("not asked: %q in\n%s", says, q.Text())
		}
	}
	if entry.Documents[0].ID != doc.ID || entry.Party.Standing != assure.ReaderTrusted || entry.Outcome != wallet.OutcomeDone {
		t.Errorf("%+v", entry)
	}
	log, err := d.Log(t.Context())
	if err != nil || !cmp.Equal(log[0], entry) {
		t.Errorf("logged %+v, %v", log[0], err)
	}
	if el := log[0].Documents[0].Elements[3]; el.Name() != "place_of_birth.locality" || el.Label(doctype.Builtin(), "en", pidVCT) != "Town of birth" {
		t.Errorf("%+v", el)
	}

	// The next question gets another copy.
	first := s.Token.Payload
	if _, _, err := d.Answer(t.Context(), v.link(pidQuery(`{"path":["family_name"]}`, ""))); err != nil {
		t.Fatal(err)
	}
	if s, err = sdjwt.Parse(v.got.Presentations["pid"][0], sdjwt.Limits{}); err != nil || string(s.Token.Payload) == string(first) {
		t.Errorf("the same copy was shown twice: %v", err)
	}
}

// No claims asked, none shown; values, sets and authorities decide as with mdocs.
func TestAnswerSDJWTQueries(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, _ := w.holderSD()
	v := w.relyingParty(rp)
	aki := jose.Encode(w.sdSigner.cert.AuthorityKeyId)
	const family = `{"path":["family_name"]}`
	for name, tc := range map[string]struct {
		dcql string
		want []string // nil: nothing
	}{
		"no claims":         {`{"credentials":[{"id":"pid","format":"dc+sd-jwt","meta":{"vct_values":["urn:eudi:pid:1"]}}]}`, []string{}},
		"value":             {pidQuery(`{"path":["nationalities",null],"values":["XA"]}`, ""), []string{"nationalities.*"}},
		"other value":       {pidQuery(`{"path":["nationalities",null],"values":["XB"]}`, ""), nil},
		"index":             {pidQuery(`{"path":["nationalities",1]}`, ""), []string{"nationalities.1"}},
		"index too far":     {pidQuery(`{"path":["nationalities",2]}`, ""), nil},
		"not there":         {pidQuery(`{"path":["shoe_size"]}`, ""), nil},
		"whole":             {pidQuery(`{"path":["address"]}`, ""), []string{"address"}},
		"authority":         {pidQuery(family, `,"trusted_authorities":[{"type":"aki","values":["`+aki+`"]}]`), []string{"family_name"}},
		"another authority": {pidQuery(family, `,"trusted_authorities":[{"type":"aki","values":["AAAA"]}]`), nil},
		"unbound will do":   {pidQuery(family, `,"require_cryptographic_holder_binding":false`), []string{"family_name"}},
		"another type":      {strings.Replace(pidQuery(family, ""), "pid:1", "pid:2", 1), nil},
		"either format": {`{"credentials":[{"id":"m","format":"mso_mdoc","meta":{"doctype_value":"eu.europa.ec.eudi.pid.1"},"claims":[{"path":["eu.europa.ec.eudi.pid.1","family_name"]}]},
			{"id":"s","format":"dc+sd-jwt","meta":{"vct_values":["urn:eudi:pid:1"]},"claims":[` + family + `]}],"credential_sets":[{"options":[["m"],["s"]]}]}`, []string{"family_name"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := d.Answer(t.Context(), v.link(tc.dcql))
			if (err == nil) != (tc.want != nil) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			r := v.verify()
			if r.Verdict != core.Valid || r.Documents[0].Device != "signature" {
				t.Fatalf("%s %s", r.Verdict, r.Reason)
			}
			got := []string{}
			for _, e := range r.Documents[0].Elements {
				got = append(got, query.Path(e.Path).String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if c, _ := r.Documents[0].Report.Find("only what was asked"); c.Outcome != "pass" {
				t.Errorf("%+v", c)
			}
		})
	}
}

// One question takes documents in both formats.
func TestAnswerBothFormats(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, _ := w.holder(nil)
	if _, err := d.take(w.offer("", "sd"), wallet.AcceptOptions{}); err != nil {
		t.Fatal(err)
	}
	v := w.relyingParty(rp)
	dcql := strings.Replace(pidQuery(`{"path":["given_name"]}`, ""), `"credentials":[`, `"credentials":[{"id":"licence","format":"mso_mdoc","meta":{"doctype_value":"`+mdoc.DocTypeMDL+
		`"},"claims":[{"path":["org.iso.18013.5.1","family_name"]}]},`, 1)
	entry, _, err := d.Answer(t.Context(), v.link(dcql))
	if err != nil {
		t.Fatal(err)
	}
	if r := v.verify(); r.Verdict != core.Valid || len(r.Documents) != 2 || len(entry.Documents) != 2 {
		t.Errorf("%s: %+v", r.Reason, r)
	}
}

// Asked about age and birth date, in this format too, the app says so; and on
// site a PID that is no mdoc is not there.
func TestSDJWTWarnings(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bar", &w.readerCA)
	d, _ := w.holderSD()
	v := w.relyingParty(rp)
	dcql := pidQuery(`{"id":"a","path":["age_equal_or_over","18"]},{"id":"b","path":["birthdate"]}`, `,"claim_sets":[["a","b"],["b"]]`)
	if _, _, err := d.Answer(t.Context(), v.link(dcql)); err != nil {
		t.Fatal(err)
	}
	if text := d.consent.last().Text(); !strings.Contains(text, "a statement about the age") {
		t.Error(text)
	}
	entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		first(r.ask(r.request(&rp, wants("eu.europa.ec.eudi.pid.1", "family_name"))))
	})
	if err != nil || len(entries) != 1 || entries[0].Outcome != wallet.OutcomeNothing {
		t.Errorf("%+v, %v", entries, err)
	}
}

// TestAgeStandIn: where a document has no statement about the age the next best
// goes, and the verifier makes of it what it asked for. Nobody is warned of what
// would only stand in.
func TestAgeStandIn(t *testing.T) {
	w := newWorld(t)
	v := w.relyingParty(certify(t, pki.ReaderAuth, w.Clock.Now(), "Bank", &w.readerCA))
	withPID, _ := w.holderSD()
	withMDL, _ := w.holder(nil)
	for _, c := range []struct {
		ask, id, from string
		d             *device
	}{
		{"pid@sd-jwt:age_over_18 else age_in_years else birth_date,portrait", "age_over_18", "birth_date", withPID},
		{"mdl@mdoc:age_over_30 else birth_date", "age_over_30", "birth_date", withMDL},
		{"mdl@mdoc:age_over_21 else birth_date", "age_over_21", "", withMDL},
	} {
		a, err := core.ParseAsk(c.ask, nil)
		if err != nil {
			t.Fatal(err)
		}
		dcql, err := a.Query.MarshalDCQL()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.d.Answer(t.Context(), v.link(string(dcql))); err != nil {
			t.Fatalf("%s: %v", c.ask, err)
		}
		r := v.verify()
		i := slices.IndexFunc(r.Documents[0].Elements, func(e core.Element) bool { return e.ID == c.id })
		if r.Verdict != core.Valid || i < 0 || r.Documents[0].Elements[i].Value != true || r.Documents[0].Elements[i].From != c.from {
			t.Errorf("%s: %s %+v", c.ask, r.Reason, r.Documents[0].Elements)
		}
		if slices.ContainsFunc(r.Documents[0].Elements, func(e core.Element) bool { return e.ID == "birth_date" }) {
			t.Errorf("%s: the date of birth is handed on", c.ask)
		}
		if q := c.d.consent.last(); strings.Contains(q.Text(), "although a statement") {
			t.Errorf("%s: %s", c.ask, q.Text())
		}
		onSite, err := core.OnSite(a.Query, true)
		if err != nil {
			continue
		}
		// The same answer to the question as a DeviceRequest has it.
		again, err := core.VerifyPresentations(t.Context(), v.got.Presentations, core.VerifyParams{
			Asked: onSite, Anchors: w.anchors, Now: w.Clock.Now(), Transcript: v.got.Transcript})
		if err != nil || again.Verdict != core.Valid || len(again.Documents[0].Elements) != 1 || again.Documents[0].Elements[0].ID != c.id || again.Documents[0].Elements[0].From != c.from {
			t.Errorf("%s, on-site: %s %+v %v", c.ask, again.Reason, again.Documents, err)
		}
	}
	if _, _, err := withMDL.Answer(t.Context(), v.link(`{"credentials":[{"id":"l","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},
		"claims":[{"path":["org.iso.18013.5.1","age_over_18"]},{"path":["org.iso.18013.5.1","birth_date"]}]}]}`)); err != nil {
		t.Fatal(err)
	}
	if q := withMDL.consent.last(); !strings.Contains(q.Text(), "although a statement") {
		t.Errorf("asked for both: %s", q.Text())
	}
}

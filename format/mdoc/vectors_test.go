package mdoc_test

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/mdoc"
)

func TestMSO(t *testing.T) {
	v := load(t, "iso18013-5/d5_2_mso")
	m, err := mdoc.ParseMSO(v.Want(t, "MobileSecurityObjectBytes"))
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, "Raw", m.Raw, v.Want(t, "MobileSecurityObjectBytes"))
	if !bytes.HasSuffix(m.Raw, v.Bytes(t)) {
		t.Error("Raw does not hold the object as received")
	}
	if m.Version != "1.0" || m.DigestAlgorithm != mdoc.SHA256 || m.DocType != mdoc.DocTypeMDL || m.Status != nil {
		t.Errorf("got %+v", m)
	}
	if len(m.ValueDigests) != 2 || len(m.ValueDigests[0].Digests) != 13 || len(m.ValueDigests[1].Digests) != 4 || m.ValueDigests[1].Name != "org.iso.18013.5.1.US" {
		t.Errorf("digests: %d name spaces", len(m.ValueDigests))
	}
	signed := time.Date(2020, 10, 1, 13, 30, 2, 0, time.UTC)
	want := mdoc.Validity{Signed: signed, ValidFrom: signed, ValidUntil: signed.AddDate(1, 0, 0)}
	if diff := cmp.Diff(want, m.Validity); diff != "" {
		t.Error(diff)
	}
	pub, err := m.DevicePublicKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := cose.AppendKey(nil, pub)
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, "device key", key, m.DeviceKey)
}

func TestIssuerAuth(t *testing.T) {
	v := load(t, "iso18013-5/d5_2_issuer_auth")
	response, _ := annexD(t)
	d := parseResponse(t, response)
	auth := d.Documents[0].IssuerSigned.Auth
	sameBytes(t, "issuerAuth", auth.Sign1.Raw, v.Bytes(t))
	sameBytes(t, "Sig_structure", cose.SigStructure(auth.Sign1.Protected, nil, auth.Sign1.Payload), v.Want(t, "sig_structure"))
	sameBytes(t, "document signer", auth.Sign1.X5Chain[0], v.Want(t, "ds_certificate"))
	cert, err := x509.ParseCertificate(auth.Sign1.X5Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Sign1.Verify(cert.PublicKey, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestDeviceResponse(t *testing.T) {
	response, p := annexD(t)
	d := parseResponse(t, response)
	if d.Version != "1.0" || d.Status != mdoc.StatusOK || len(d.Documents) != 1 {
		t.Fatalf("got %+v", d)
	}
	sameBytes(t, "Raw", d.Raw, response)
	res, rep := mdoc.Verify(t.Context(), &d.Documents[0], p)
	if !rep.OK() {
		t.Fatalf("report:\n%s", rep)
	}
	if !res.IssuerVerified || !res.DeviceVerified || res.DeviceAuth != "mac" || res.Issuer.Country != "US" {
		t.Errorf("result %+v", res)
	}
	var ids []string
	for _, e := range res.NameSpaces[0].Elements {
		ids = append(ids, e.ID)
	}
	want := []string{"family_name", "issue_date", "expiry_date", "document_number", "portrait", "driving_privileges"}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Error(diff)
	}
	sameBytes(t, "driving_privileges", res.NameSpaces[0].Elements[5].Value, load(t, "iso18013-5/d2_1_driving_privileges").Bytes(t))
	if c, ok := rep.Find("validity within signer's"); !ok || c.Outcome != "warn" {
		t.Errorf("validUntil past the signer's notAfter: %+v", c)
	}

	p.RefuseLongValidity = true
	if _, rep := mdoc.Verify(t.Context(), &d.Documents[0], p); rep.OK() {
		t.Error("strict policy accepts validUntil past the signer's notAfter")
	}
}

func TestDeviceResponseWithoutTranscript(t *testing.T) {
	response, p := annexD(t)
	d := parseResponse(t, response)
	p.Transcript, p.EReaderKey = nil, nil
	res, rep := mdoc.Verify(t.Context(), &d.Documents[0], p)
	if !rep.OK() || !res.IssuerVerified || res.DeviceVerified || res.DeviceAuth != "" {
		t.Errorf("result %+v\n%s", res, rep)
	}
	if c, _ := rep.Find("device authentication"); c.Outcome != "not checked" {
		t.Errorf("device authentication: %+v", c)
	}
	p.RequireDeviceAuth = true
	if _, rep := mdoc.Verify(t.Context(), &d.Documents[0], p); rep.OK() {
		t.Error("required device authentication passes unchecked")
	}
}

func TestDeviceSignature(t *testing.T) {
	response, p := annexB(t)
	d := parseResponse(t, response)
	res, rep := mdoc.Verify(t.Context(), &d.Documents[0], p)
	if !rep.OK() || res.DeviceAuth != "signature" || !res.DeviceVerified {
		t.Fatalf("result %+v\n%s", res, rep)
	}
}

func TestDeviceRequest(t *testing.T) {
	v := load(t, "iso18013-5/d4_1_1_device_request")
	req, err := mdoc.ParseDeviceRequest(v.Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, "Raw", req.Raw, v.Bytes(t))
	doc := req.Documents[0]
	sameBytes(t, "ItemsRequestBytes", doc.Raw, v.Want(t, "ItemsRequestBytes"))
	sameBytes(t, "readerAuth", doc.ReaderAuth, load(t, "iso18013-5/d5_4_reader_auth").Bytes(t))
	want := []mdoc.RequestedNameSpace{{Name: mdoc.NameSpaceMDL, Elements: []mdoc.RequestedElement{
		{ID: "family_name", IntentToRetain: true}, {ID: "document_number", IntentToRetain: true},
		{ID: "driving_privileges", IntentToRetain: true}, {ID: "issue_date", IntentToRetain: true},
		{ID: "expiry_date", IntentToRetain: true}, {ID: "portrait"}}}}
	if diff := cmp.Diff(want, doc.NameSpaces); diff != "" {
		t.Error(diff)
	}
	if doc.DocType != mdoc.DocTypeMDL || doc.Info != nil || req.Version != "1.0" {
		t.Errorf("got %+v", req)
	}

	// Our builder writes the same bytes.
	built, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{Documents: []mdoc.DocRequest{{DocType: doc.DocType, NameSpaces: doc.NameSpaces}}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(built, doc.Raw) {
		t.Errorf("built request %x does not hold ItemsRequestBytes %x", built, doc.Raw)
	}
}

func TestDeviceRequestExtended(t *testing.T) {
	v := load(t, "iso18013-5/d4_1_3_device_request_extended")
	req, err := mdoc.ParseDeviceRequest(v.Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, "DeviceRequestInfoBytes", req.Info.Raw, v.Want(t, "DeviceRequestInfoBytes"))
	if req.Version != "1.1" || len(req.Documents) != 3 || req.Documents[2].DocType != "org.iso.23220.photoID" {
		t.Fatalf("got %+v", req)
	}
	want := []mdoc.UseCase{
		{DocumentSets: [][]int{{0}}, Purposes: []mdoc.PurposeHint{{Controller: mdoc.PurposeController, Code: 2}}},
		{DocumentSets: [][]int{{1}, {2}}, Purposes: []mdoc.PurposeHint{{Controller: mdoc.PurposeController, Code: 1}}},
	}
	if diff := cmp.Diff(want, req.Info.UseCases); diff != "" {
		t.Error(diff)
	}
	info := req.Documents[1].Info
	if info.UniqueDocSetRequired == nil || !*info.UniqueDocSetRequired {
		t.Error("uniqueDocSetRequired lost")
	}
	ref := func(id string) mdoc.ElementRef { return mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: id} }
	wantAlt := mdoc.AlternativeDataElements{Requested: ref("resident_postal_code"),
		Sets: [][]mdoc.ElementRef{{ref("resident_city"), ref("resident_state")}, {ref("resident_address")}}}
	if diff := cmp.Diff(wantAlt, info.Alternatives[1]); diff != "" {
		t.Error(diff)
	}

	// Built again from what was parsed, the request says the same.
	built, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{Documents: req.Documents, Info: req.Info})
	if err != nil {
		t.Fatal(err)
	}
	again, err := mdoc.ParseDeviceRequest(built)
	if err != nil {
		t.Fatal(err)
	}
	ignoreRaw := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Raw" }, cmp.Ignore())
	if diff := cmp.Diff(req, again, ignoreRaw); diff != "" {
		t.Error(diff)
	}
}

func TestReaderAuth(t *testing.T) {
	v := load(t, "iso18013-5/d5_4_reader_auth")
	transcript := load(t, "iso18013-5/d5_1_session_transcript").Want(t, "session_transcript_untagged")
	raw := load(t, "iso18013-5/d4_1_1_device_request").Bytes(t)
	req, err := mdoc.ParseDeviceRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	got := mdoc.VerifyReader(req, transcript, nil)
	if got.Verdict != mdoc.ReaderValid || len(got.Chain) != 1 {
		t.Fatalf("verdict %s\n%s", got.Verdict, got.Report)
	}
	sameBytes(t, "reader certificate", got.Chain[0], v.Want(t, "reader_certificate"))

	other := bytes.Clone(transcript)
	other[len(other)-1] ^= 1
	if got := mdoc.VerifyReader(req, other, nil); got.Verdict != mdoc.ReaderInvalid || got.Chain != nil || got.Report.OK() {
		t.Errorf("another transcript: %s", got.Verdict)
	}
	req.Documents[0].ReaderAuth = nil
	if got := mdoc.VerifyReader(req, transcript, nil); got.Verdict != mdoc.ReaderNone || got.Chain != nil {
		t.Errorf("unsigned: %s", got.Verdict)
	}
}

// The request of a deployed reader: algorithm -9 of RFC 9864.
func TestReaderAuthInTheField(t *testing.T) {
	v := load(t, "iso18013-5/thirdparty_annexc_real-001")
	req, err := mdoc.ParseDeviceRequest(base64url(t, v.text(t, "deviceRequest_b64u")))
	if err != nil {
		t.Fatal(err)
	}
	got := mdoc.VerifyReader(req, v.Want(t, "session_transcript"), nil)
	if got.Verdict != mdoc.ReaderValid || len(got.Chain) != 2 {
		t.Errorf("verdict %s\n%s", got.Verdict, got.Report)
	}
}

// D.7 is printed with elided values: the shape is built here and checked
// against the authorisations printed with it.
func TestKeyAuthorizationShapes(t *testing.T) {
	v := load(t, "iso18013-5/d7_device_signed_examples")
	for _, n := range []string{"d7_2", "d7_3"} {
		auth := v.datum(t, "key_authorizations_"+n).(map[string]any)["dataElements"].(map[string]any)
		var k mdoc.KeyAuthorizations
		for ns, ids := range auth {
			for _, id := range ids.([]any) {
				k.Elements = append(k.Elements, mdoc.ElementRef{NameSpace: ns, ID: id.(string)})
			}
		}
		for ns, elements := range v.datum(t, "device_namespaces_"+n).(map[string]any) {
			for id := range elements.(map[string]any) {
				if !k.Authorizes(mdoc.ElementRef{NameSpace: ns, ID: id}) {
					t.Errorf("%s: %s/%s not authorised", n, ns, id)
				}
				if k.Authorizes(mdoc.ElementRef{NameSpace: ns + ".other", ID: id}) {
					t.Errorf("%s: authorised in another name space", n)
				}
			}
		}
	}
}

func TestEmptyResponseOfAnnexC(t *testing.T) {
	raw := load(t, "iso18013-5/thirdparty_annexc_deterministic-001").Want(t, "device_response")
	if d := parseResponse(t, raw); len(d.Documents) != 0 || d.Status != 0 {
		t.Errorf("got %+v", d)
	}
	ours, err := mdoc.EncodeResponse(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, "our empty response", ours, raw)
}

// signedRegions are the parts of the D.4.1.2 response that the issuer signed:
// each item, the protected header, the payload and the signature.
func signedRegions(d *mdoc.Document) [][]byte {
	var out [][]byte
	for _, ns := range d.IssuerSigned.NameSpaces {
		for _, item := range ns.Items {
			out = append(out, item.Raw)
		}
	}
	s := d.IssuerSigned.Auth.Sign1
	return append(out, s.Protected, s.Payload, s.Signature)
}

// offsetOf is where part, a window into whole, starts.
func offsetOf(t *testing.T, whole, part []byte) int {
	t.Helper()
	at := bytes.Index(whole, part)
	if at < 0 || bytes.Count(whole, part) != 1 {
		t.Fatalf("%d bytes found %d times", len(part), bytes.Count(whole, part))
	}
	return at
}

// Every single bit of what the issuer signed matters, and the report names the
// element or the check.
func TestEveryBitTheIssuerSigned(t *testing.T) {
	response, p := annexD(t)
	p.Transcript, p.EReaderKey = nil, nil // device authentication is not what is tested
	d := parseResponse(t, response)
	for _, region := range signedRegions(&d.Documents[0]) {
		start := offsetOf(t, response, region)
		step := 1
		if testing.Short() {
			step = 7
		}
		for bit := 0; bit < 8*len(region); bit += step {
			response[start+bit/8] ^= 1 << (bit % 8)
			if said, ok := refused(t, response, p); !ok {
				t.Errorf("byte %d bit %d: accepted", start+bit/8, bit%8)
			} else if said == "" {
				t.Errorf("byte %d bit %d: refused without a reason", start+bit/8, bit%8)
			}
			response[start+bit/8] ^= 1 << (bit % 8)
		}
	}
	if _, ok := refused(t, response, p); ok {
		t.Error("the response itself is refused: the test flipped something for good")
	}
}

// refused says why a response is not accepted with all six elements.
func refused(t *testing.T, response []byte, p mdoc.VerifyParams) (string, bool) {
	d, err := mdoc.ParseDeviceResponse(response)
	if err != nil {
		return err.Error(), true
	}
	for i := range d.Documents {
		res, rep := mdoc.Verify(t.Context(), &d.Documents[i], p)
		if !rep.OK() {
			if res.DeviceVerified || res.NameSpaces != nil || res.DeviceSigned != nil {
				t.Errorf("elements handed out although %v", rep.Err())
			}
			return rep.Err().Error(), true
		}
	}
	return "", false
}

// One bit anywhere in what the device signed, or in its signature.
func TestEveryBitTheDeviceSigned(t *testing.T) {
	response, p := annexB(t)
	d := parseResponse(t, response)
	doc := &d.Documents[0]
	sign1, err := cose.ParseSign1(doc.DeviceSigned.Signature)
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range [][]byte{sign1.Protected, sign1.Signature, doc.DeviceSigned.NameSpacesRaw} {
		at := bytes.Index(response, doc.DeviceSigned.Signature)
		if !bytes.Contains(doc.DeviceSigned.Signature, region) {
			at = bytes.Index(response, doc.DeviceSigned.NameSpacesRaw)
		} else {
			at += bytes.Index(doc.DeviceSigned.Signature, region)
		}
		for bit := range 8 * len(region) {
			response[at+bit/8] ^= 1 << (bit % 8)
			if _, ok := refused(t, response, p); !ok {
				t.Errorf("byte %d bit %d: accepted", at+bit/8, bit%8)
			}
			response[at+bit/8] ^= 1 << (bit % 8)
		}
	}
	for bit := range 8 * len(p.Transcript) {
		p.Transcript[bit/8] ^= 1 << (bit % 8)
		_, rep := mdoc.Verify(t.Context(), doc, p)
		if failed := rep.Failed(); len(failed) != 1 || failed[0].Name != "device authentication" {
			t.Errorf("transcript bit %d: %v", bit, failed)
		}
		p.Transcript[bit/8] ^= 1 << (bit % 8)
	}
}

// The report names the element whose byte was changed.
func TestReportNamesElement(t *testing.T) {
	response, p := annexD(t)
	d := parseResponse(t, response)
	item := d.Documents[0].IssuerSigned.Item(mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: "document_number"})
	at := offsetOf(t, response, item.Value)
	response[at+3] ^= 1
	d = parseResponse(t, response)
	_, rep := mdoc.Verify(t.Context(), &d.Documents[0], p)
	err := rep.Err()
	if err == nil || !strings.Contains(err.Error(), "document_number") || !strings.Contains(err.Error(), "9.1.2.5") {
		t.Errorf("got %v", err)
	}
}

// Containers go round through what was kept: a response put together from the
// parsed parts is the response.
func TestRoundThroughRaw(t *testing.T) {
	for _, get := range []func(testing.TB) ([]byte, mdoc.VerifyParams){annexD, annexB} {
		response, _ := get(t)
		d := parseResponse(t, response)
		doc := &d.Documents[0]
		for _, part := range slices.Concat([][]byte{doc.Raw, doc.IssuerSigned.Raw, doc.IssuerSigned.Auth.Sign1.Raw, doc.IssuerSigned.Auth.MSO.Raw, doc.DeviceSigned.NameSpacesRaw}, signedRegions(doc)) {
			if !bytes.Contains(response, part) {
				t.Errorf("%x… is not as received", part[:min(len(part), 8)])
			}
		}
		stored, err := mdoc.ParseIssuerSigned(doc.IssuerSigned.Raw)
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, "IssuerSigned", stored.Raw, doc.IssuerSigned.Raw)
	}
	response, _ := annexD(t) // its maps are in the order of the CDDL, as ours
	d := parseResponse(t, response)
	b := cbor.AppendText(cbor.AppendText(cbor.AppendMap(nil, 3), "version"), "1.0")
	b = append(cbor.AppendArray(cbor.AppendText(b, "documents"), 1), d.Documents[0].Raw...)
	sameBytes(t, "response", cbor.AppendUint(cbor.AppendText(b, "status"), 0), response)
}

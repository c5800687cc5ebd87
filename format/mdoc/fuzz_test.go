package mdoc_test

import (
	"bytes"
	"testing"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
)

// What is parsed must be windows into the input, and parsing it again must say
// the same: nothing here may depend on how often it is looked at.

func FuzzParseDeviceResponse(f *testing.F) {
	for _, name := range []string{"d4_1_2_device_response", "p7_b6_5_vp_token_device_response"} {
		f.Add(load(f, "iso18013-5/"+name).Bytes(f))
	}
	f.Add(load(f, "iso18013-5/thirdparty_annexc_deterministic-001").Want(f, "device_response"))
	_, p := annexD(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := mdoc.ParseDeviceResponse(data)
		if err != nil {
			return
		}
		// The parser looks at the whole in parts, and as strictly.
		if err := cbor.Check(data, cbor.Limits{}); err != nil {
			t.Fatalf("parsed, but %v", err)
		}
		for i := range d.Documents {
			doc := &d.Documents[i]
			if !bytes.Contains(data, doc.Raw) || !bytes.Contains(doc.Raw, doc.IssuerSigned.Raw) || !bytes.Contains(doc.Raw, doc.DeviceSigned.NameSpacesRaw) {
				t.Fatal("parts are not as received")
			}
			if _, err := mdoc.ParseIssuerSigned(doc.IssuerSigned.Raw); err != nil {
				t.Fatalf("IssuerSigned alone: %v", err)
			}
			res, rep := mdoc.Verify(t.Context(), doc, p)
			if !rep.OK() && (res.NameSpaces != nil || res.DeviceSigned != nil || res.DeviceVerified) {
				t.Fatal("unverified elements are handed out")
			}
			if rep.OK() && !res.DeviceVerified {
				t.Fatal("verified without the device")
			}
		}
	})
}

func FuzzParseDeviceRequest(f *testing.F) {
	for _, name := range []string{"d4_1_1_device_request", "d4_1_3_device_request_extended"} {
		f.Add(load(f, "iso18013-5/"+name).Bytes(f))
	}
	f.Add(base64url(f, load(f, "iso18013-5/thirdparty_annexc_real-001").text(f, "deviceRequest_b64u")))
	transcript := load(f, "iso18013-5/d5_1_session_transcript").Want(f, "session_transcript_untagged")
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := mdoc.ParseDeviceRequest(data)
		if err != nil {
			return
		}
		for i := range req.Documents {
			if !bytes.Contains(data, req.Documents[i].Raw) {
				t.Fatal("ItemsRequestBytes are not as received")
			}
		}
		if got := mdoc.VerifyReader(req, transcript, nil); (got.Verdict == mdoc.ReaderValid) != (got.Chain != nil) {
			t.Fatalf("verdict %s with %d certificates", got.Verdict, len(got.Chain))
		}
		// The builder accepts whatever the parser accepted.
		if _, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{Documents: req.Documents, Info: req.Info}); err != nil {
			t.Fatalf("not built again: %v", err)
		}
	})
}

func FuzzParseIssuerSigned(f *testing.F) {
	response, p := annexD(f)
	f.Add(parseResponse(f, response).Documents[0].IssuerSigned.Raw)
	response, _ = annexB(f)
	f.Add(parseResponse(f, response).Documents[0].IssuerSigned.Raw)
	a := newAuthority(f)
	f.Add(a.issue(f, a.params(p256(f).Public(), mdoc.Element{ID: "family_name", Value: text("Doe")})))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := mdoc.ParseIssuerSigned(data)
		if err != nil {
			return
		}
		if err := cbor.Check(data, cbor.Limits{}); err != nil {
			t.Fatalf("parsed, but %v", err)
		}
		for _, ns := range s.NameSpaces {
			for _, it := range ns.Items {
				if it.ID == "" || len(it.Value) == 0 || !bytes.Contains(it.Raw, it.Value) || s.Item(mdoc.ElementRef{NameSpace: ns.Name, ID: it.ID}) == nil {
					t.Fatalf("item %+v", it)
				}
			}
		}
		if res, rep := mdoc.VerifyIssuerSigned(s, p); !rep.OK() && res.NameSpaces != nil {
			t.Fatal("unverified elements are handed out")
		}
		mdoc.Lint(data)
	})
}

func FuzzParseMSO(f *testing.F) {
	f.Add(load(f, "iso18013-5/d5_2_mso").Want(f, "MobileSecurityObjectBytes"))
	response, _ := annexB(f)
	f.Add(parseResponse(f, response).Documents[0].IssuerSigned.Auth.MSO.Raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		mso, err := mdoc.ParseMSO(data)
		if err != nil {
			return
		}
		if !bytes.Equal(mso.Raw, data) || mso.DocType == "" || mso.Version == "" {
			t.Fatalf("got %+v", mso)
		}
		for _, ns := range mso.ValueDigests {
			seen := make(map[uint64]bool)
			for _, d := range ns.Digests {
				if seen[d.ID] || len(d.Value) < 32 {
					t.Fatalf("digest %d", d.ID)
				}
				seen[d.ID] = true
			}
		}
		mso.DevicePublicKey()
	})
}

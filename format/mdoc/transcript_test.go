package mdoc_test

import (
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/vectors"
)

func TestTranscriptNFC(t *testing.T) {
	want := load(t, "iso18013-5/d5_1_session_transcript")
	hs := load(t, "iso18013-5/d3_3_nfc_handover_select")
	hr := load(t, "iso18013-5/d3_2_nfc_handover_request")
	key := eReaderKeyBytes(t)
	got := mdoc.Transcript(hs.Want(t, "device_engagement"), key, mdoc.NFCHandover(hs.Bytes(t), hr.Bytes(t)))
	sameBytes(t, "SessionTranscript", got, want.Want(t, "session_transcript_untagged"))
	tagged := mdoc.SessionTranscriptBytes(got)
	sameBytes(t, "SessionTranscriptBytes", tagged, want.Bytes(t))
	salt := sha256.Sum256(tagged)
	sameBytes(t, "salt", salt[:], want.Want(t, "sha256_salt"))

	// Static handover has null in the place of the request.
	static := mdoc.Transcript(hs.Want(t, "device_engagement"), key, mdoc.NFCHandover(hs.Bytes(t), nil))
	head := got[:len(got)-len(cbor.AppendBytes(nil, hr.Bytes(t)))]
	sameBytes(t, "static handover", static, append(append([]byte(nil), head...), 0xf6))
}

func TestTranscriptQR(t *testing.T) {
	want := load(t, "iso18013-5/derived_session_transcript_qr")
	engagement := load(t, "iso18013-5/d3_1_device_engagement_qr").Bytes(t)
	got := mdoc.Transcript(engagement, eReaderKeyBytes(t), nil)
	sameBytes(t, "SessionTranscriptBytes", mdoc.SessionTranscriptBytes(got), want.Bytes(t))
}

// eReaderKeyBytes takes the EReaderKeyBytes out of the SessionEstablishment of D.5.1.
func eReaderKeyBytes(t *testing.T) []byte {
	t.Helper()
	r := cbor.NewReader(load(t, "iso18013-5/d5_1_session_establishment").Bytes(t))
	var key []byte
	r.Map(func() {
		if r.Text() == "eReaderKey" {
			key, _ = r.Embedded()
			return
		}
		r.Skip()
	})
	if err := r.Done(); err != nil || key == nil {
		t.Fatalf("SessionEstablishment without eReaderKey: %v", err)
	}
	return key
}

func TestTranscriptOpenID4VP(t *testing.T) {
	for _, name := range []string{"b2_6_1_handover_redirect", "b2_6_2_handover_dcapi", "derived_handover_redirect_null", "derived_handover_dcapi_null"} {
		t.Run(name, func(t *testing.T) {
			v := load(t, "openid4vp/"+name)
			var thumbprint []byte
			if v.datum(t, "jwk") != nil {
				thumbprint = v.Want(t, "jwkThumbprint")
			}
			var got []byte
			if uri, redirect := v.datum(t, "response_uri").(string); redirect {
				got = mdoc.TranscriptOpenID4VP(v.text(t, "client_id"), v.text(t, "nonce"), thumbprint, uri)
			} else {
				got = mdoc.TranscriptOpenID4VPDCAPI(v.text(t, "origin"), v.text(t, "nonce"), thumbprint)
			}
			sameBytes(t, "SessionTranscript", got, v.Want(t, "SessionTranscript"))
			sameBytes(t, "SessionTranscript", got, v.Bytes(t))
		})
	}
}

func TestTranscriptOpenID4VPDraft18(t *testing.T) {
	v := load(t, "iso18013-5/p7_b6_9_session_transcript")
	got := mdoc.TranscriptOpenID4VPDraft18(v.text(t, "client_id"), v.text(t, "response_uri"), v.text(t, "nonce"), v.text(t, "mdoc_generated_nonce"))
	sameBytes(t, "SessionTranscript", got, v.Bytes(t))
}

func TestTranscriptDCAPI(t *testing.T) {
	for _, name := range []string{"thirdparty_annexc_deterministic-001", "thirdparty_annexc_real-001"} {
		v := load(t, "iso18013-5/"+name)
		got := mdoc.TranscriptDCAPI(v.text(t, "encryptionInfo_b64u"), v.text(t, "origin"))
		sameBytes(t, name, got, v.Want(t, "session_transcript"))
	}
}

// There is no vector for Annex A: the expected bytes are put together here
// from the table of A.8 by hand.
func TestTranscriptWebsite(t *testing.T) {
	engagement, key, reader := []byte{0xa1, 0x00, 0x01}, []byte{0xd8, 0x18, 0x41, 0xa0}, []byte{0xa1, 0x00, 0x02}
	hash := sha256.Sum256([]byte{0xd8, 0x18, 0x43, 0xa1, 0x00, 0x02})
	want := append([]byte{0x83, 0xd8, 0x18, 0x43, 0xa1, 0x00, 0x01, 0xd8, 0x18, 0x41, 0xa0, 0x58, 0x20}, hash[:]...)
	sameBytes(t, "SessionTranscript", mdoc.Transcript(engagement, key, mdoc.WebsiteHandover(reader)), want)
}

func TestDeviceAuthenticationBytes(t *testing.T) {
	v := load(t, "iso18013-5/d5_3_device_auth_mac")
	transcript := load(t, "iso18013-5/d5_1_session_transcript").Want(t, "session_transcript_untagged")
	none := vectors.Hex(t, "d81841a0")
	sameBytes(t, "D.5.3", mdoc.DeviceAuthenticationBytes(transcript, mdoc.DocTypeMDL, none), v.Want(t, "device_authentication_bytes"))
	p7 := load(t, "iso18013-5/p7_b6_5_vp_token_device_response")
	sameBytes(t, "B.6.5", mdoc.DeviceAuthenticationBytes(p7.Want(t, "session_transcript"), mdoc.DocTypeMDL, none), p7.Want(t, "device_authentication_bytes"))
}

func TestReaderAuthenticationBytes(t *testing.T) {
	v := load(t, "iso18013-5/d5_4_reader_auth")
	transcript := load(t, "iso18013-5/d5_1_session_transcript").Want(t, "session_transcript_untagged")
	items := load(t, "iso18013-5/d4_1_1_device_request").Want(t, "ItemsRequestBytes")
	sameBytes(t, "D.5.4", mdoc.ReaderAuthenticationBytes(transcript, items), v.Want(t, "reader_authentication_bytes"))
}

// No example of ReaderAuthenticationAll is printed: the shape is read back.
func TestReaderAuthenticationAllBytes(t *testing.T) {
	v := load(t, "iso18013-5/d4_1_3_device_request_extended")
	req, err := mdoc.ParseDeviceRequest(v.Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	transcript := []byte{0x83, 0xf6, 0xf6, 0xf6}
	for _, info := range [][]byte{req.Info.Raw, nil} {
		b := mdoc.ReaderAuthenticationAllBytes(transcript, [][]byte{req.Documents[0].Raw, req.Documents[1].Raw}, info)
		outer := cbor.ReadChecked(b, cbor.Limits{})
		_, inner := outer.Embedded()
		if err := outer.Done(); err != nil {
			t.Fatal(err)
		}
		r := cbor.ReadChecked(inner, cbor.Limits{})
		r.ArrayOf(4)
		if got := r.Text(); got != "ReaderAuthenticationAll" {
			t.Errorf("first item %q", got)
		}
		sameBytes(t, "transcript", r.Raw(), transcript)
		r.ArrayOf(2)
		sameBytes(t, "items of document 0", r.Raw(), req.Documents[0].Raw)
		sameBytes(t, "items of document 1", r.Raw(), req.Documents[1].Raw)
		want := info
		if want == nil {
			want = []byte{0xf6}
		}
		sameBytes(t, "info", r.Raw(), want)
		if err := r.Done(); err != nil {
			t.Error(err)
		}
	}
}

func TestEncryptionInfoIsHashedAsReceived(t *testing.T) {
	v := load(t, "iso18013-5/thirdparty_annexc_deterministic-001")
	info := v.text(t, "encryptionInfo_b64u")
	raw, err := base64.RawURLEncoding.DecodeString(info)
	if err != nil {
		t.Fatal(err)
	}
	padded := base64.URLEncoding.EncodeToString(raw)
	if padded == info {
		t.Skip("the vector's encoding needs no padding")
	}
	if string(mdoc.TranscriptDCAPI(padded, v.text(t, "origin"))) == string(mdoc.TranscriptDCAPI(info, v.text(t, "origin"))) {
		t.Error("the string was decoded and encoded again")
	}
}

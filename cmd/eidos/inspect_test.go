package main

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/eidos-id/eidos/internal/vectors"
)

// FuzzInspect: nothing makes inspect panic, and what it decodes it can print.
func FuzzInspect(f *testing.F) {
	for _, name := range []string{
		"d4_1_2_device_response", "d4_1_1_device_request", "d3_1_device_engagement_qr", "d5_1_session_establishment",
		"d5_1_session_transcript", "thirdparty_annexc_deterministic-001", "d5_2_iaca_certificate", "thirdparty_vical_aamva_2025_11_18", "p7_b6_9_session_transcript",
	} {
		var v struct {
			Hex string `json:"hex"`
		}
		vectors.Load(f, "iso18013-5/"+name+".json", &v)
		f.Add(vectors.Hex(f, v.Hex))
	}
	var v struct {
		Text string `json:"text"`
	}
	vectors.Load(f, "openid4vp/s8_3_encrypted_response.json", &v)
	f.Add([]byte(v.Text))
	vectors.Load(f, "openid4vci/proof_jwt.json", &v)
	f.Add([]byte(v.Text))
	f.Add([]byte("openid4vp://?client_id=a&request_uri=https%3A%2F%2Fb"))
	f.Add([]byte(`{"a":[1,{"exp":1}]}`))
	f.Add([]byte(`{"encryptionInfo":"gmVkY2FwaaFlbm9uY2VQAAECAwQFBgcICQoLDA0ODw"}`))
	f.Add([]byte("mdoc://oQBjMS4w"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := inspect(data)
		if err != nil {
			return
		}
		n.print(io.Discard, 0)
		var b bytes.Buffer
		if err := json.NewEncoder(&b).Encode(n); err != nil {
			t.Fatal(err)
		}
	})
}

package status

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
)

// claimTexts are payloads whose list can be cut out, and others that only look
// as if it could.
func claimTexts() []string {
	const list = `"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ"}`
	return []string{
		`{"sub":"a:b","iat":1,"exp":2,"ttl":3,` + list + `}`,
		`{` + list + `,"sub":"a:b","iat":1}`,
		` { "status_list" : { "lst" : "eNrbuRgAAhcBXQ" , "aggregation_uri" : "a:b", "bits" : 1 } , "iat" : 1.5 } `,
		`{"status_list":{"bits":1,"lst":"eNrbuRg\u0041AhcBXQ"}}`,
		`{"status_list":{"bits":1,"\u006cst":"eNrbuRgAAhcBXQ"}}`,
		`{"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ","lst":"eNrbuRgAAhcBXQ"}}`,
		`{"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ","LST":"eNrbuQAAAhcBXQ"}}`,
		`{"other":{"lst":"eNrbuQAAAhcBXQ"},` + list + `}`,
		`{"lst":"eNrbuQAAAhcBXQ",` + list + `}`,
		`{"lst":"decoy` + "\n" + `",` + list + `}`,
		`{"lst":"decoy` + "\xff" + `",` + list + `}`,
		`{"lst":"` + `eNrb","status_list":{"bits":1,"lst":"*"}}`,
		`{"a":"*",` + list + `}`,
		`{"x\"lst":"eNrbuQAAAhcBXQ",` + list + `}`,
		`{"lst":"A\","b":"c",` + list + `}`,
		`{"lst":"A\",` + list + `}`,
		`{"sub":"lst","lst":1,` + list + `}`,
		`{"status_list":{"bits":1,"lst":["eNrbuRgAAhcBXQ"]}}`,
		`{"status_list":{"bits":1,"lst":null}}`,
		`{"status_list":{"bits":1,"lst":""}}`,
		`{"status_list":{"bits":1,"lst":"*"}}`,
		`{"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ`,
		`{"status_list":{"bits":1,"lst"`,
		`{"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ"`,
		`["lst","lst":"eNrbuRgAAhcBXQ"]`,
		`{"iat":1}`, `{"status_list":null,"lst":"e"}`, `null`, `"lst"`, ``,
	}
}

// FuzzJWTClaims holds the reader that takes the list out first to the one that
// does not.
func FuzzJWTClaims(f *testing.F) {
	for _, text := range claimTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var quick, whole listClaims
		list, err := decodeClaims(payload, &quick)
		var data []byte
		if err == nil && quick.StatusList != nil {
			data, err = decodeURL(list)
		}
		wantErr := decodeObject(payload, &whole, jose.Limits{Token: maxTokenBytes})
		var want []byte
		if wantErr == nil && whole.StatusList != nil {
			want, wantErr = jose.Decode(whole.StatusList.List)
		}
		if (err == nil) != (wantErr == nil) || !bytes.Equal(data, want) {
			t.Fatalf("%q: %x, %v; the whole text is %x, %v", payload, data, err, want, wantErr)
		}
		if err != nil {
			return
		}
		if (quick.StatusList == nil) != (whole.StatusList == nil) || quick.Subject != whole.Subject || quick.Times != whole.Times {
			t.Fatalf("%q: %+v, want %+v", payload, quick, whole)
		}
	})
}

// The usual form does not take the slow way, which no other test would notice.
func TestCutList(t *testing.T) {
	for i, want := range []bool{true, true, true, false, false, true} {
		rest, list, ok := cutList([]byte(claimTexts()[i]))
		if ok != want || ok && (string(list) != "eNrbuRgAAhcBXQ" || !strings.Contains(string(rest), `"*"`)) {
			t.Errorf("%s: %s, %s, %v", claimTexts()[i], rest, list, ok)
		}
	}
	payload, err := appendJWTClaims(Claims{URI: `https://a/"lst":"*"&`, Issued: time.Unix(1, 0)}, Compressed{Bits: 1, Data: []byte{1, 2, 3}})
	if want := `{"sub":"https://a/\"lst\":\"*\"&","iat":1,"status_list":{"bits":1,"lst":"AQID"}}`; err != nil || string(payload) != want {
		t.Errorf("wrote %s, %v, want %s", payload, err, want)
	}
}

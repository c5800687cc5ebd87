package jose

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/eidos-id/eidos/internal/vectors"
)

type wycheproof struct {
	TestGroups []struct {
		Comment string          `json:"comment"`
		Private json.RawMessage `json:"private"`
		Public  json.RawMessage `json:"public"`
		Tests   []struct {
			TCID    int             `json:"tcId"`
			Comment string          `json:"comment"`
			JWS     json.RawMessage `json:"jws"`
			JWE     json.RawMessage `json:"jwe"`
			PT      string          `json:"pt"`
			Result  string          `json:"result"`
			Flags   []string        `json:"flags"`
		} `json:"tests"`
	} `json:"testGroups"`
}

// leftOut is why valid tokens of the files may be refused, by what refuses them.
func leftOut(t *testing.T, err error, group string) string {
	switch {
	case errors.Is(err, ErrPrivate):
		return "HMAC and AES with shared secrets: no profile of ours has them"
	case errors.Is(err, ErrUnsupported) && (group == "rfc7520" || group == "rfc7520WithKeyOps"):
		return "RSA, or a key for \"ES521\", a name that RFC 7518 does not have (its key passes without the name)"
	case errors.Is(err, ErrUnsupported):
		return "RSA, AES-CBC, and ECDH-ES with key wrap: no profile of ours has them"
	}
	return ""
}

// wycheproofKeys returns the public keys of a group, whatever form they are in.
func wycheproofKeys(t *testing.T, private, public json.RawMessage) ([]JWK, error) {
	t.Helper()
	raw := public
	if raw == nil {
		raw = private
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys != nil {
		s, err := ParseSet(raw)
		if err != nil {
			return nil, err
		}
		if len(s.Keys) == 0 {
			return nil, ErrUnsupported // keys of other types, left out as RFC 7517, 5 says
		}
		return s.Keys, nil
	}
	k, err := ParseJWK(raw)
	if err != nil {
		return nil, err
	}
	return []JWK{*k}, nil
}

func TestWycheproofSignatures(t *testing.T) {
	for _, name := range []string{
		"jose/wycheproof_json_web_signature.json",
		"jose/wycheproof_json_web_crypto.json",
		"jose/wycheproof_json_web_key.json",
	} {
		t.Run(name, func(t *testing.T) {
			var file wycheproof
			vectors.Load(t, name, &file)
			left := map[string]int{}
			ours := 0
			for _, g := range file.TestGroups {
				keys, keyErr := wycheproofKeys(t, g.Private, g.Public)
				for _, c := range g.Tests {
					if c.JWS == nil {
						continue // the JWE groups of json_web_crypto, below
					}
					err := keyErr
					if err == nil {
						err = verifyText(c.JWS, keys[0])
						ours++
					}
					if c.Result == "invalid" {
						if err == nil {
							t.Errorf("%s %d %q: accepted", g.Comment, c.TCID, c.Comment)
						}
						continue
					}
					if err == nil {
						continue
					}
					why := leftOut(t, err, g.Comment)
					if why == "" {
						t.Errorf("%s %d %q: %v", g.Comment, c.TCID, c.Comment, err)
					}
					left[why]++
				}
			}
			if ours == 0 {
				t.Error("no case reached the verification")
			}
			for why, n := range left {
				t.Logf("%d valid tokens refused: %s", n, why)
			}
		})
	}
}

// verifyText takes a token as the file has it; JSON objects are no compact serialisation.
func verifyText(raw json.RawMessage, k JWK) error {
	var token string
	if err := json.Unmarshal(raw, &token); err != nil {
		return ErrUnsupported
	}
	tok, err := Parse(token, Limits{})
	if err != nil {
		return err
	}
	return tok.VerifyJWK(k)
}

// The keys of RFC 7520 call their algorithm "ES521". Apart from that name,
// which no registry has, the token is a good ES512 one.
func TestES521(t *testing.T) {
	var file wycheproof
	vectors.Load(t, "jose/wycheproof_json_web_signature.json", &file)
	verified := 0
	for _, g := range file.TestGroups {
		k, err := ParseJWK(g.Public)
		if err != nil || k.Alg != "ES521" {
			continue
		}
		for _, c := range g.Tests {
			tok, err := Parse(vectors.String(t, c.JWS), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if err := tok.Verify(k.Key); err != nil {
				t.Error(err)
			}
			if err := tok.VerifyJWK(*k); !errors.Is(err, ErrUnsupported) {
				t.Errorf("with the key's alg: %v", err)
			}
			verified++
		}
	}
	if verified != 2 {
		t.Errorf("%d tokens, not 2", verified)
	}
}

func TestWycheproofEncryption(t *testing.T) {
	vectors.Dir(t) // skips here if they are absent: the count at the end would be none
	decrypted := 0
	for _, name := range []string{"jose/wycheproof_json_web_encryption.json", "jose/wycheproof_json_web_crypto.json"} {
		t.Run(name, func(t *testing.T) {
			var file wycheproof
			vectors.Load(t, name, &file)
			left := map[string]int{}
			for _, g := range file.TestGroups {
				for _, c := range g.Tests {
					if c.JWE == nil {
						continue
					}
					plain, err := decryptText(t, c.JWE, g.Private)
					switch {
					case c.Result == "invalid":
						if err == nil {
							t.Errorf("%s %d %q: decrypted", g.Comment, c.TCID, c.Comment)
						}
					case errors.Is(err, ErrUnsupported):
						left[leftOut(t, err, "")]++
					case err != nil || string(plain) != string(vectors.Hex(t, c.PT)):
						t.Errorf("%s %d %q: %x, %v", g.Comment, c.TCID, c.Comment, plain, err)
					default:
						decrypted++
					}
				}
			}
			for why, n := range left {
				t.Logf("%d valid messages refused: %s", n, why)
			}
		})
	}
	if !t.Failed() && decrypted != 3 { // ECDH-ES with the three AES-GCM
		t.Errorf("%d messages decrypted, not 3", decrypted)
	}
}

func decryptText(t *testing.T, raw, private json.RawMessage) ([]byte, error) {
	t.Helper()
	var token string
	if err := json.Unmarshal(raw, &token); err != nil {
		return nil, ErrUnsupported
	}
	j, err := ParseJWE(token)
	if err != nil {
		return nil, err
	}
	return j.Decrypt(t.Context(), agreerOf(t, private))
}

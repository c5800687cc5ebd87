package key_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/vectors"
)

// The files of brainpool curves, Ed448 and X448 in the same folder are not run:
// those curves come with the passport and the wider COSE work, and until then
// key.Check refuses them.

type wycheproof struct {
	TestGroups []struct {
		PublicKeyDER string `json:"publicKeyDer"`
		PublicKey    struct {
			Uncompressed string `json:"uncompressed"`
			PK           string `json:"pk"`
		} `json:"publicKey"`
		Tests []struct {
			TCID    int      `json:"tcId"`
			Comment string   `json:"comment"`
			Flags   []string `json:"flags"`
			Msg     string   `json:"msg"`
			Sig     string   `json:"sig"`
			Public  string   `json:"public"`
			Private string   `json:"private"`
			Shared  string   `json:"shared"`
			Result  string   `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

func TestVerifyWycheproof(t *testing.T) {
	for _, name := range []string{
		"curves/wycheproof_ecdsa_secp256r1_sha256_p1363.json",
		"curves/wycheproof_ecdsa_secp384r1_sha384_p1363_trimmed.json",
		"curves/wycheproof_ecdsa_secp521r1_sha512_p1363_trimmed.json",
		"curves/wycheproof_ed25519_trimmed.json",
	} {
		t.Run(name, func(t *testing.T) {
			var file wycheproof
			vectors.Load(t, name, &file)
			valid, invalid := 0, 0
			for _, g := range file.TestGroups {
				pub, err := key.Parse(vectors.Hex(t, g.PublicKeyDER))
				if err != nil {
					t.Fatalf("key of the group: %v", err)
				}
				for _, c := range g.Tests {
					sig := vectors.Hex(t, c.Sig)
					err := key.Verify(pub, vectors.Hex(t, c.Msg), sig)
					if (err == nil) != (c.Result == "valid") {
						t.Errorf("case %d %q, %s: got %v", c.TCID, c.Comment, c.Result, err)
					}
					if err != nil {
						invalid++
						continue
					}
					valid++
					if _, ok := pub.(ed25519.PublicKey); ok {
						continue
					}
					der, err := key.RawToASN1(sig)
					if err != nil {
						t.Fatalf("case %d: RawToASN1: %v", c.TCID, err)
					}
					if raw, err := key.ASN1ToRaw(pub, der); err != nil || !bytes.Equal(raw, sig) {
						t.Errorf("case %d: %x came back as %x, %v", c.TCID, sig, raw, err)
					}
				}
			}
			if valid < 20 || invalid < 20 {
				t.Errorf("only %d accepted and %d refused: the file is not what it was", valid, invalid)
			}
		})
	}
}

func TestAgreementWycheproof(t *testing.T) {
	for _, c := range []struct {
		file  string
		curve ecdh.Curve
		parse func(b []byte) (*ecdh.PublicKey, error)
	}{
		{"curves/wycheproof_ecdh_secp256r1_trimmed.json", ecdh.P256(), func(b []byte) (*ecdh.PublicKey, error) {
			pub, err := key.Parse(b)
			if err != nil {
				return nil, err
			}
			return key.ToECDH(pub)
		}},
		{"curves/wycheproof_ecdh_secp256r1_ecpoint_trimmed.json", ecdh.P256(), ecdh.P256().NewPublicKey},
		{"curves/wycheproof_x25519_trimmed.json", ecdh.X25519(), ecdh.X25519().NewPublicKey},
	} {
		t.Run(c.file, func(t *testing.T) {
			var file wycheproof
			vectors.Load(t, c.file, &file)
			agreed, refused := 0, 0
			left := map[string]int{}
			for _, g := range file.TestGroups {
				for _, v := range g.Tests {
					private, err := c.curve.NewPrivateKey(scalar(vectors.Hex(t, v.Private)))
					if err != nil {
						t.Fatalf("case %d: %v", v.TCID, err)
					}
					var z []byte
					peer, err := c.parse(vectors.Hex(t, v.Public))
					if err == nil {
						z, err = private.ECDH(peer)
					}
					// RFC 7748, 6.1: the all-zero output of a point of low order is refused.
					wrong := v.Result == "invalid" || c.curve == ecdh.X25519() && allZero(v.Shared)
					switch {
					case wrong && err == nil:
						t.Errorf("case %d %q accepted", v.TCID, v.Comment)
					case wrong:
						refused++
					case err != nil && v.Result == "acceptable" && excluded(v.Flags) != "":
						left[excluded(v.Flags)]++
					case err != nil || !bytes.Equal(z, vectors.Hex(t, v.Shared)):
						t.Errorf("case %d %q (%s): %x, %v", v.TCID, v.Comment, v.Result, z, err)
					default:
						agreed++
					}
				}
			}
			for why, n := range left {
				t.Logf("%d cases refused though acceptable: %s", n, why)
			}
			if agreed < 20 || refused < 5 {
				t.Errorf("only %d agreed and %d refused", agreed, refused)
			}
		})
	}
}

// excluded names the cases that a strict reader may refuse, and why we do.
func excluded(flags []string) string {
	for _, f := range flags {
		switch f {
		case "CompressedPoint", "CompressedPublic":
			return "compressed points: no format of ours uses them for agreement"
		case "UnnamedCurve":
			return "explicit curve parameters: RFC 5480, 2.1.1 forbids them"
		case "InvalidAsn", "InvalidEncoding", "WrongOrder", "UnusedParam":
			return "a deviation that only lenient readers accept"
		}
	}
	return ""
}

// scalar gives a private key of the file the 32 bytes of P-256 or X25519.
func scalar(b []byte) []byte {
	b = bytes.TrimLeft(b, "\x00")
	if len(b) == 32 {
		return b
	}
	return append(make([]byte, 32-len(b)), b...)
}

func allZero(hexText string) bool { return strings.Trim(hexText, "0") == "" }

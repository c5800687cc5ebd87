package mdoc_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
)

// The clocks at which the vectors are valid.
var (
	annexDTime = time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC)
	p7Time     = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
)

// vector is a record with parts of any form.
type vector struct{ vectors.Record }

func load(t testing.TB, name string) vector { t.Helper(); return vector{vectors.Read(t, name+".json")} }

func (v vector) text(t testing.TB, name string) string {
	t.Helper()
	return vectors.String(t, v.Data[name])
}

func (v vector) datum(t testing.TB, name string) (d any) {
	t.Helper()
	if raw, ok := v.Data[name]; ok {
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// annexD is the DeviceResponse of D.4.1.2 and what is needed to verify it.
func annexD(t testing.TB) (response []byte, p mdoc.VerifyParams) {
	t.Helper()
	v := load(t, "iso18013-5/d4_1_2_device_response")
	transcript := load(t, "iso18013-5/d5_1_session_transcript").Want(t, "session_transcript_untagged")
	return v.Bytes(t), mdoc.VerifyParams{
		Now:           annexDTime,
		ValidateChain: anchor(t, v.Want(t, "iaca_certificate")),
		DocType:       mdoc.DocTypeMDL,
		Transcript:    transcript,
		EReaderKey:    testkit.ECDH(v.P256(t, "ephemeral_reader_key")),
	}
}

// annexB is the VP token of ISO/IEC TS 18013-7, B.6.5.
func annexB(t testing.TB) (response []byte, p mdoc.VerifyParams) {
	t.Helper()
	v := load(t, "iso18013-5/p7_b6_5_vp_token_device_response")
	return v.Bytes(t), mdoc.VerifyParams{
		Now:           p7Time,
		ValidateChain: anchor(t, v.Want(t, "iaca_der")),
		DocType:       mdoc.DocTypeMDL,
		Transcript:    load(t, "iso18013-5/p7_b6_9_session_transcript").Bytes(t),
	}
}

// anchor validates chains of one certificate issued by root. It looks at
// signature and dates only: profiles are format/pki's.
func anchor(t testing.TB, root []byte) mdoc.ChainValidator {
	t.Helper()
	ca, err := x509.ParseCertificate(root)
	if err != nil {
		t.Fatal(err)
	}
	return func(chain [][]byte, _ string, now time.Time) (mdoc.Issuer, check.Report) {
		var rep check.Report
		leaf, err := x509.ParseCertificate(chain[0])
		if err != nil {
			rep.Fail("certificate", "RFC 5280, 4.1", err.Error(), "")
			return mdoc.Issuer{}, rep
		}
		if !bytes.Equal(leaf.RawIssuer, ca.RawSubject) || ca.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
			rep.Fail("path", "RFC 5280, 6.1", "not issued by the root", "")
			return mdoc.Issuer{}, rep
		}
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			rep.Fail("dates", "RFC 5280, 6.1", "not current", "")
			return mdoc.Issuer{}, rep
		}
		rep.Pass("path", "RFC 5280, 6.1", "issued by the root")
		return issuerOf(leaf), rep
	}
}

func issuerOf(leaf *x509.Certificate) mdoc.Issuer {
	return mdoc.Issuer{Key: leaf.PublicKey, Name: leaf.Subject.CommonName, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Country: strings.Join(leaf.Subject.Country, ","), Jurisdiction: strings.Join(leaf.Subject.Province, ",")}
}

func parseResponse(t testing.TB, data []byte) *mdoc.DeviceResponse {
	t.Helper()
	d, err := mdoc.ParseDeviceResponse(data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sameBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

func base64url(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sha(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

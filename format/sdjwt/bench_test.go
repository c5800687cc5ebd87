package sdjwt_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
)

// What it costs to issue, present and verify a credential of 20 claims, in raw
// P-256 operations measured in the same run.

func twenty() []sdjwt.Node {
	claims := []sdjwt.Node{
		leaf("family_name", "Mustermann"), leaf("given_name", "Erika"), leaf("birthdate", "1984-03-17"), leaf("birth_family_name", "Gabler"),
		leaf("sex", 2), leaf("email", "erika@example.org"), leaf("phone_number", "+4912345678"), leaf("issuing_authority", "Utopia Registry of Persons"),
		leaf("issuing_country", "UT"), leaf("date_of_expiry", "2031-05-06"), leaf("date_of_issuance", "2026-05-06"), leaf("document_number", "T220001293"),
	}
	for nn := 12; len(claims) < 20; nn++ {
		claims = append(claims, leaf(fmt.Sprintf("age_over_%d", nn), true))
	}
	return claims
}

var six = []sdjwt.Path{{"family_name"}, {"given_name"}, {"birthdate"}, {"issuing_country"}, {"document_number"}, {"age_over_18"}}

func portrait() sdjwt.Node {
	jpeg := make([]byte, 20<<10)
	rand.Read(jpeg)
	return leaf("picture", "data:image/jpeg;base64,"+base64.StdEncoding.EncodeToString(jpeg))
}

func BenchmarkIssue(b *testing.B) {
	a, holder := newAuthority(b), testkit.Signer(b, elliptic.P256())
	p := a.params(holder, twenty()...)
	testkit.Ratio(b, testkit.NewRaw(b).Sign, "signatures", func() { a.issue(b, p) })
}

func BenchmarkPresent(b *testing.B) {
	a, holder := newAuthority(b), testkit.Signer(b, elliptic.P256())
	stored := a.issue(b, a.params(holder, twenty()...))
	testkit.Ratio(b, testkit.NewRaw(b).Sign, "signatures", func() { present(b, stored, holder, six...) })
}

// BenchmarkVerify takes three signatures: certificate, credential, key binding.
func BenchmarkVerify(b *testing.B) { benchmarkVerify(b, false) }

// BenchmarkVerifyPortrait has a portrait of 20 KiB among the six.
func BenchmarkVerifyPortrait(b *testing.B) { benchmarkVerify(b, true) }

func benchmarkVerify(b *testing.B, image bool) {
	a, holder := newAuthority(b), testkit.Signer(b, elliptic.P256())
	claims, paths := twenty(), six
	if image {
		claims[19], paths = portrait(), append(six[:5:5], sdjwt.Path{"picture"})
	}
	shown := present(b, a.issue(b, a.params(holder, claims...)), holder, paths...)
	p := a.verify()
	testkit.Ratio(b, testkit.NewRaw(b).Verify, "verifications", func() {
		s, err := sdjwt.Parse(shown, sdjwt.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if res, report := sdjwt.Verify(s, p); !report.OK() || len(res.Payload.JSON()) == 0 {
			b.Fatal(report)
		}
	})
}

package mdoc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"sort"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/mdoc"
)

// The benchmarks report how many raw P-256 operations one call costs, measured
// in the same run: each call is followed by a raw operation, and the median of
// the ratios of the pairs is reported, so that a busy or throttled machine slows
// both alike.

// raw are the two operations on a digest, with the standard library.
type raw struct {
	key    *ecdsa.PrivateKey
	digest [32]byte
	sig    []byte
}

func newRaw(b *testing.B) *raw {
	b.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	r := &raw{key: k, digest: sha256.Sum256([]byte("message"))}
	if r.sig, err = ecdsa.SignASN1(rand.Reader, k, r.digest[:]); err != nil {
		b.Fatal(err)
	}
	return r
}

func (r *raw) sign() {
	if _, err := ecdsa.SignASN1(rand.Reader, r.key, r.digest[:]); err != nil {
		panic(err)
	}
}

func (r *raw) verify() {
	if !ecdsa.VerifyASN1(&r.key.PublicKey, r.digest[:], r.sig) {
		panic("raw signature does not verify")
	}
}

// ratio runs call and unit in turn and reports the median of their ratios. The
// timer of the benchmark is not stopped in between, because that stops the world.
func ratio(b *testing.B, unit func(), name string, call func()) {
	b.Helper()
	call()
	unit()
	var calls, ratios []float64
	for b.Loop() {
		t0 := time.Now()
		call()
		t1 := time.Now()
		unit()
		t2 := time.Now()
		calls = append(calls, float64(t1.Sub(t0)))
		ratios = append(ratios, float64(t1.Sub(t0))/float64(t2.Sub(t1)))
	}
	b.ReportMetric(median(calls), "ns/op")
	b.ReportMetric(median(ratios), name)
}

func median(v []float64) float64 {
	sort.Float64s(v)
	return v[len(v)/2]
}

func BenchmarkIssue(b *testing.B) {
	a, device, r := newAuthority(b), p256(b), newRaw(b)
	p := a.params(device.Public(), licence()...)
	ctx := context.Background()
	ratio(b, r.sign, "sigs", func() {
		if _, err := mdoc.Issue(ctx, p, a.key); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkPresent(b *testing.B) {
	a, device, r := newAuthority(b), p256(b), newRaw(b)
	stored := a.issue(b, a.params(device.Public(), licence()...))
	transcript, wanted := demoTranscript(), six()
	ratio(b, r.sign, "sigs", func() { present(b, stored, device, transcript, wanted) })
}

func BenchmarkVerify(b *testing.B) {
	a, device, r := newAuthority(b), p256(b), newRaw(b)
	response := present(b, a.issue(b, a.params(device.Public(), licence()...)), device, demoTranscript(), six())
	p := a.verify(b, demoTranscript())
	ratio(b, r.verify, "verifs", func() { mustVerify(b, response, p) })
}

func BenchmarkVerifyChainKnown(b *testing.B) {
	a, device, r := newAuthority(b), p256(b), newRaw(b)
	response := present(b, a.issue(b, a.params(device.Public(), licence()...)), device, demoTranscript(), six())
	p := a.verify(b, demoTranscript())
	p.ValidateChain = a.known()
	ratio(b, r.verify, "verifs", func() { mustVerify(b, response, p) })
}

func mustVerify(b *testing.B, response []byte, p mdoc.VerifyParams) {
	d, err := mdoc.ParseDeviceResponse(response)
	if err != nil {
		b.Fatal(err)
	}
	res, rep := mdoc.Verify(context.Background(), &d.Documents[0], p)
	if !rep.OK() || !res.DeviceVerified || len(res.NameSpaces[0].Elements) != 6 {
		b.Fatalf("report:\n%s", rep)
	}
}

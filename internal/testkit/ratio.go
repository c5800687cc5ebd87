package testkit

import (
	"slices"
	"testing"
	"time"
)

// Ratio runs call and unit in turn and reports the median of the ratios of the
// pairs under a name, so that a busy or throttled machine slows both alike, and
// the median of the calls as ns/op. The benchmark's timer is not stopped in
// between, because that stops the world. What before does is not measured.
func Ratio(b *testing.B, unit func(), name string, call func(), before ...func()) {
	b.Helper()
	b.ReportAllocs()
	var calls, ratios []float64
	for b.Loop() {
		for _, f := range before {
			f()
		}
		t0 := time.Now()
		call()
		t1 := time.Now()
		unit()
		t2 := time.Now()
		calls = append(calls, float64(t1.Sub(t0)))
		ratios = append(ratios, float64(t1.Sub(t0))/float64(t2.Sub(t1)))
	}
	slices.Sort(calls)
	slices.Sort(ratios)
	b.ReportMetric(calls[len(calls)/2], "ns/op")
	b.ReportMetric(ratios[len(ratios)/2], name)
}

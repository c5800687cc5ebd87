package hammer

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Latencies collects how long requests took, by kind. The zero value is ready;
// it may be used concurrently.
type Latencies struct {
	mu     sync.Mutex
	byKind map[string]*kind // guarded by mu
}

type kind struct {
	took    []time.Duration
	refused int
}

// Add notes a request. refused says that the answer was a refusal.
func (l *Latencies) Add(name string, took time.Duration, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.byKind[name]
	if k == nil {
		k = &kind{}
		if l.byKind == nil {
			l.byKind = map[string]*kind{}
		}
		l.byKind[name] = k
	}
	k.took = append(k.took, took)
	if refused {
		k.refused++
	}
}

// Summary is what the requests of a kind come to. Times are in milliseconds.
type Summary struct {
	Count   int     `json:"count"`
	Refused int     `json:"refused"`
	P50     float64 `json:"p50_ms"`
	P90     float64 `json:"p90_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
}

// Summary sums up each kind.
func (l *Latencies) Summary() map[string]Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]Summary, len(l.byKind))
	for name, k := range l.byKind {
		sorted := slices.Sorted(slices.Values(k.took))
		out[name] = Summary{
			Count: len(sorted), Refused: k.refused,
			P50: percentile(sorted, 50), P90: percentile(sorted, 90), P99: percentile(sorted, 99), Max: percentile(sorted, 100),
		}
	}
	return out
}

// percentile is the least of the sorted values that p percent do not exceed.
func percentile(sorted []time.Duration, p float64) float64 {
	n := int(math.Ceil(p / 100 * float64(len(sorted))))
	return float64(sorted[max(n, 1)-1].Microseconds()) / 1000
}

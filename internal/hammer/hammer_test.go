package hammer

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"runtime/pprof"
	"testing"
	"time"
)

func TestLatencies(t *testing.T) {
	var l Latencies
	for i := 100; i >= 1; i-- {
		l.Add("token", time.Duration(i)*time.Millisecond, i > 98)
	}
	l.Add("nonce", 1500*time.Microsecond, false)
	got := l.Summary()
	if want := (Summary{Count: 100, Refused: 2, P50: 50, P90: 90, P99: 99, Max: 100}); got["token"] != want {
		t.Errorf("token: %+v, want %+v", got["token"], want)
	}
	if want := (Summary{Count: 1, P50: 1.5, P90: 1.5, P99: 1.5, Max: 1.5}); got["nonce"] != want {
		t.Errorf("nonce: %+v, want %+v", got["nonce"], want)
	}
}

// TestShares profiles hashing with the runtime's own profiler.
func TestShares(t *testing.T) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		t.Skipf("somebody else profiles: %v", err)
	}
	busy := Now().CPU
	block := make([]byte, 1<<16)
	for start := time.Now(); time.Since(start) < 10*time.Second && Now().CPU-busy < 300*time.Millisecond; {
		sum := sha256.Sum256(block)
		copy(block, sum[:])
	}
	pprof.StopCPUProfile()
	total, by, err := Shares(b.Bytes(), []Class{
		{"none", []string{"no/such/package."}},
		{"inner", []string{"crypto/internal/fips140/sha256.block"}}, // below the next
		{"SHA-2", []string{"crypto/sha256.", "crypto/internal/fips140/sha256."}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if total == 0 {
		t.Skip("the profiler took no samples")
	}
	if by[0] != 0 || by[1] > total/10 || by[2] < total/2 || by[2] > total {
		t.Errorf("of %d samples: %v", total, by)
	}
}

func TestSharesRefuses(t *testing.T) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		t.Skipf("somebody else profiles: %v", err)
	}
	pprof.StopCPUProfile()
	whole := b.Bytes()
	for _, bad := range [][]byte{nil, []byte("profile"), whole[:len(whole)/2]} {
		if _, _, err := Shares(bad, nil); err == nil {
			t.Errorf("%d bytes are taken for a profile", len(bad))
		}
	}
	for _, bad := range []string{"\x12", "\x12\x05ab", "\x0f", "\x12\x02\x0a\x00", "\x12\x03\x12\x01\x80", "\x09abc", "\x08\x80"} {
		if err := new(profile).read([]byte(bad)); err == nil {
			t.Errorf("% x is taken for a profile", bad)
		}
	}
}

func TestUsage(t *testing.T) {
	u := Now()
	if _, err := os.Stat("/proc/self/statm"); err == nil && u.Resident < 1<<20 {
		t.Errorf("resident: %d bytes", u.Resident)
	}
	r, err := Sign(20 * time.Millisecond)
	if err != nil || r.Signatures == 0 || r.Wall < 20*time.Millisecond {
		t.Errorf("%+v, %v", r, err)
	}
	if text, err := json.Marshal(u); err != nil || !bytes.Contains(text, []byte(`"cpu_ns"`)) {
		t.Errorf("%s, %v", text, err)
	}
}

package hammer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"time"
)

// Raw is how fast this process signs digests with ECDSA on P-256, which is what
// everything else is compared with.
type Raw struct {
	Signatures int           `json:"signatures"`
	Wall       time.Duration `json:"wall_ns"`
	CPU        time.Duration `json:"cpu_ns"`
}

// Sign signs on one goroutine for a while.
func Sign(d time.Duration) (Raw, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Raw{}, err
	}
	digest := sha256.Sum256([]byte("raw signing"))
	var r Raw
	cpu, start := cpuTime(), time.Now()
	for ; r.Wall < d; r.Wall = time.Since(start) {
		for range 16 {
			if _, err := ecdsa.SignASN1(rand.Reader, private, digest[:]); err != nil {
				return Raw{}, err
			}
			r.Signatures++
		}
	}
	r.CPU = cpuTime() - cpu
	return r, nil
}

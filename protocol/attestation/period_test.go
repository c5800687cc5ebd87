package attestation

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestStatusPeriod(t *testing.T) {
	for text, want := range map[string]time.Duration{`{}`: 0, `{"status_period":86400}`: 24 * time.Hour, `{"status_period":3162240000}`: maxStatusPeriod} {
		var c renewClaims
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		if got, err := c.StatusPeriod.duration(); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{`{"status_period":-1}`, `{"status_period":3162240001}`, `{"status_period":9223372036854775807}`} {
		var c keysAskClaims
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		_, err := c.StatusPeriod.duration()
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Code != CodeInvalidRequest {
			t.Errorf("%s: %v", text, err)
		}
	}
	for d, want := range map[time.Duration]statusPeriod{-time.Hour: 0, 90 * time.Second: 90, 200 * 366 * 24 * time.Hour: 3162240000} {
		if got := inSeconds(d); got != want {
			t.Errorf("%v is sent as %d", d, got)
		}
	}
}

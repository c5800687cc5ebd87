package upkeep_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eidos-id/eidos/internal/upkeep"
)

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var log bytes.Buffer
		var rounds []time.Duration
		start := time.Now()
		go func() {
			time.Sleep(2*time.Minute + 30*time.Second)
			cancel()
		}()
		err := upkeep.Run(ctx, upkeep.Task{
			Role: "trust", Every: time.Minute, Retry: 10 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Do: func(context.Context) error {
				rounds = append(rounds, time.Since(start))
				if len(rounds) == 1 {
					return errors.New("source away")
				}
				return nil
			},
		})
		if err != nil {
			t.Errorf("Run: %v", err)
		}
		want := []time.Duration{0, 10 * time.Second, 70 * time.Second, 130 * time.Second}
		if len(rounds) != len(want) {
			t.Fatalf("rounds at %v, want %v", rounds, want)
		}
		for i := range want {
			if rounds[i] != want[i] {
				t.Errorf("round %d at %v, want %v", i, rounds[i], want[i])
			}
		}
		if !strings.Contains(log.String(), "source away") || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("log: %s", log.String())
		}
	})
}

// A round that ctx cuts short is no failure.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var log bytes.Buffer
	err := upkeep.Run(ctx, upkeep.Task{
		Role: "issuer", Every: time.Hour, Retry: time.Hour, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Do: func(ctx context.Context) error { cancel(); return ctx.Err() },
	})
	if err != nil || log.Len() != 0 {
		t.Errorf("Run: %v, log: %s", err, log.String())
	}
}

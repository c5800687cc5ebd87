package once_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/once"
)

// The rest of the contract is tested on both stores in internal/db.

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestMemory(t *testing.T) {
	ctx, m, later := context.Background(), once.NewMemory(), now.Add(time.Minute)
	value := []byte("v1")
	if err := m.Put(ctx, "code", "a", value, later); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	got, err := m.Get(ctx, "code", "a", now)
	if err != nil || string(got) != "v1" {
		t.Fatalf("get: %q, %v", got, err)
	}
	got[0] = 'X'
	if _, err := m.Claim(ctx, "code", "a", later); !errors.Is(err, once.ErrExpired) {
		t.Errorf("claim at the expiry: %v", err)
	}
	if _, err := m.Claim(ctx, "offer", "a", now); !errors.Is(err, once.ErrNotFound) {
		t.Errorf("claim of another kind: %v", err)
	}
	if got, err := m.Claim(ctx, "code", "a", now); err != nil || string(got) != "v1" {
		t.Errorf("claim: %q, %v", got, err)
	}
	if _, err := m.Claim(ctx, "code", "a", now); !errors.Is(err, once.ErrClaimed) {
		t.Errorf("second claim: %v", err)
	}
	if err := m.Put(ctx, "code", "a", []byte("v2"), later); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Get(ctx, "code", "a", now); err != nil || string(got) != "v2" {
		t.Errorf("after a put revived it: %q, %v", got, err)
	}
	m.DeleteExpired(later)
	if _, err := m.Get(ctx, "code", "a", now); !errors.Is(err, once.ErrNotFound) {
		t.Errorf("after the sweep: %v", err)
	}
}

func TestMemoryTxUndoes(t *testing.T) {
	ctx, m, stop := context.Background(), once.NewMemory(), errors.New("stop")
	if err := m.Put(ctx, "code", "a", []byte("v"), now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	err := m.Tx(func(s once.Store) error {
		if _, err := s.Claim(ctx, "code", "a", now); err != nil {
			return err
		}
		return stop
	})
	if err != stop {
		t.Fatalf("Tx returned %v", err)
	}
	if _, err := m.Claim(ctx, "code", "a", now); err != nil {
		t.Errorf("claim after it was undone: %v", err)
	}
}

func TestConsumeRace(t *testing.T) {
	m := once.NewMemory()
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch err := once.Consume(context.Background(), m, "jti", "x", now, now.Add(time.Minute)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, once.ErrClaimed):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d callers were the first", won.Load())
	}
}

func TestHash(t *testing.T) {
	// SHA-256 of "abc", FIPS 180-4 example.
	if got, want := once.Hash("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"; got != want {
		t.Errorf("Hash: %s, want %s", got, want)
	}
}

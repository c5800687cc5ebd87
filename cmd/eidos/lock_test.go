//go:build unix

package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestOneProcessForAFolder(t *testing.T) {
	dir := t.TempDir()
	open := func(database string, roles ...string) (*house, error) {
		t.Helper()
		h, err := newHouse(Config{Database: database}, dir, "1", slog.New(slog.DiscardHandler), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		return h, h.claim(roles)
	}
	first, err := open("", roleIssuer, roleTrust)
	if err != nil {
		t.Fatal(err)
	}
	second, err := open("", roleVerifier, roleIssuer)
	if err == nil || !strings.Contains(err.Error(), "another eidos (process ") || !strings.Contains(err.Error(), "serves the role issuer from "+dir) {
		t.Errorf("%v", err)
	}
	if err := second.close(); err != nil {
		t.Error(err)
	}
	if other, err := open("", roleVerifier); err != nil || other.close() != nil {
		t.Errorf("another role of the same folder: %v", err)
	}
	if shared, err := open("postgres://db.example/eidos", roleIssuer); err != nil || shared.close() != nil {
		t.Errorf("a shared database: %v", err)
	}
	if err := first.close(); err != nil {
		t.Error(err)
	}
	if again, err := open("", roleIssuer); err != nil || again.close() != nil {
		t.Errorf("after it has ended: %v", err)
	}
}

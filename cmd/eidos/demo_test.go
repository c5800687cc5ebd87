package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/testkit"
)

// demoStep is one line of demo --json, as the manual promises it.
type demoStep struct {
	Phase  string `json:"phase"`
	Step   string `json:"step"`
	OK     bool   `json:"ok"`
	MS     *int64 `json:"ms"`
	Detail string `json:"detail"`
}

// TestDemo: every step is played and ok, each is one object with a known phase,
// and what crossed the wires can be verified by the verify command afterwards.
func TestDemo(t *testing.T) {
	keep := t.TempDir()
	var out, errs bytes.Buffer
	status := run(t.Context(), []string{"demo", "--once", "--json", "--keep", keep}, strings.NewReader(""), &out, &errs, os.Getenv)
	if status != exitOK {
		t.Fatalf("status %d\n%s%s", status, out.String(), errs.String())
	}
	checkSteps(t, out.String())

	documents, err := filepath.Glob(filepath.Join(keep, "documents", "*.cbor"))
	if err != nil || len(documents) != 25 {
		t.Fatalf("%d documents kept, %v", len(documents), err)
	}
	checkHAIP(t, filepath.Join(keep, "messages"))
	for _, anchors := range []string{"iaca.cer", ""} { // "" finds the root on the VICAL
		var out, errs bytes.Buffer
		args := []string{"verify", "--anchors", filepath.Join(keep, "anchors", anchors), documents[0]}
		if status := run(t.Context(), args, strings.NewReader(""), &out, &errs, os.Getenv); status != exitOK {
			t.Errorf("verify a kept document with anchors/%s: status %d\n%s%s", anchors, status, out.String(), errs.String())
		}
	}
	if errs.Len() > 0 {
		t.Errorf("the demonstration complains: %s", errs.String())
	}
}

func checkSteps(t *testing.T, output string) {
	t.Helper()
	played := make(map[string]int)
	for line := range strings.Lines(output) {
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		var s demoStep
		if err := d.Decode(&s); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !s.OK || s.MS == nil || s.Step == "" || s.Detail == "" {
			t.Errorf("step %s", line)
		}
		played[s.Phase]++
	}
	for phase, least := range map[string]int{phaseInstallation: 3, phaseIssuing: 4, phaseOnSite: 3, phaseRemote: 4} {
		if played[phase] < least {
			t.Errorf("%d steps of phase %s, at least %d", played[phase], phase, least)
		}
		delete(played, phase)
	}
	if len(played) > 0 {
		t.Errorf("steps of phases that do not exist: %v", played)
	}
}

// TestDemoPostgreSQL plays the same on one PostgreSQL that all roles share.
func TestDemoPostgreSQL(t *testing.T) {
	dsn := testkit.Postgres(t)
	var out, errs bytes.Buffer
	m := &machine{ctx: t.Context(), in: strings.NewReader(""), out: &out, err: &errs, getenv: os.Getenv, now: time.Now}
	d := &demo{m: m, json: true, ok: true}
	cfg := demoConfig("127.0.0.1:0")
	cfg.Database = dsn
	d.play(context.WithoutCancel(t.Context()), cfg, t.TempDir())
	d.close()
	if !d.ok {
		t.Fatalf("%s%s", out.String(), errs.String())
	}
	checkSteps(t, out.String())
}

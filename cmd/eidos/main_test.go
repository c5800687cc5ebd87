package main

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"eidos": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
		},
	})
}

// TestScripts runs the commands as people type them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			return cond == "vectors" && vectorsDir() != "", nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("EIDOS_DATA", filepath.Join(env.WorkDir, "data"))
			return writeVectors(env.WorkDir)
		},
	})
}

func vectorsDir() string {
	if dir := os.Getenv("EIDOS_VECTORS"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs(".")
	for err == nil {
		d := filepath.Join(filepath.Dir(dir), "shared", "vectors")
		if st, err := os.Stat(d); err == nil && st.IsDir() {
			return d
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

// writeVectors puts the vectors that scripts use into their folder, as the
// files that people would have.
func writeVectors(dir string) error {
	root := vectorsDir()
	if root == "" {
		return nil // scripts that need them say [!vectors] skip
	}
	for name, file := range map[string]string{
		"response.hex":     "d4_1_2_device_response.json",
		"request.hex":      "d4_1_1_device_request.json",
		"iaca.hex":         "d5_2_iaca_certificate.json",
		"engagement.hex":   "d3_1_device_engagement_qr.json",
		"establish.hex":    "d5_1_session_establishment.json",
		"p7.hex":           "p7_b6_5_vp_token_device_response.json",
		"p7transcript.hex": "p7_b6_9_session_transcript.json",
		"vical.hex":        "thirdparty_vical_aamva_2025_11_18.json",
	} {
		data, err := os.ReadFile(filepath.Join(root, "iso18013-5", file))
		if err != nil {
			return err
		}
		var v struct {
			Hex      string `json:"hex"`
			Expected struct {
				IACA string `json:"iaca_der"`
			} `json:"expected"`
		}
		if err := json.Unmarshal(data, &v); err != nil && v.Hex == "" {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(v.Hex+"\n"), 0o600); err != nil {
			return err
		}
		if v.Expected.IACA != "" {
			if err := os.WriteFile(filepath.Join(dir, "p7iaca.hex"), []byte(v.Expected.IACA), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

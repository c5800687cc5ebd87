package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"waitfile": waitFile, "pin": pin, "spoil": spoil, "http": request, "part": part, "until": until, "tamper": tamper, "api": api,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("EIDOS_DATA", filepath.Join(env.WorkDir, "data"))
			port, err := freePort()
			if err != nil {
				return err
			}
			env.Setenv("PORT", port)
			if port, err = freePort(); err != nil {
				return err
			}
			env.Setenv("ADMIN", "127.0.0.1:"+port)
			admin := "issuer:\n  admin:\n    listen: 127.0.0.1:" + port + "\n"
			if err := os.WriteFile(filepath.Join(env.WorkDir, "admin.yaml"), []byte(admin), 0o600); err != nil {
				return err
			}
			if port, err = freePort(); err != nil {
				return err
			}
			env.Setenv("RPAPI", "127.0.0.1:"+port)
			relying := "verifier:\n  api:\n    listen: 127.0.0.1:" + port + "\n"
			if err := os.WriteFile(filepath.Join(env.WorkDir, "relying.yaml"), []byte(relying), 0o600); err != nil {
				return err
			}
			if err := writePay(env); err != nil {
				return err
			}
			return writeVectors(env.WorkDir)
		},
	})
}

// writePay writes a configuration with a bank's card in it (pay.txtar).
func writePay(env *testscript.Env) error {
	card, err := os.ReadFile(cardType)
	if err != nil {
		return err
	}
	pay := `issuer:
  types: [card.yaml]
  tenants:
    - {id: default, name: Utopia Bank, country: UT, source: people.csv, offerings: [{docType: org.example.card.1, format: dc+sd-jwt}]}
verifier:
  types: [card.yaml]
  tenants: [{id: default, name: Shop, transactionTypes: [{type: "urn:eudi:sca:payment:1"}]}]
wallet:
  types: [card.yaml]
trust:
  tenants:
    - id: default
      name: Utopia Trust
      country: UT
      sources:
        - {name: bank, purpose: issuer, url: "http://issuer.localhost:PORT/default/iaca.pem", docTypes: ["urn:example:card:1"]}
        - {name: provider, purpose: wallet-provider, url: "http://provider.localhost:PORT/default/ca.pem"}
        - {name: shop, purpose: verifier, url: "http://verifier.localhost:PORT/default/reader-ca.pem"}
`
	pay = strings.ReplaceAll(pay, "PORT", env.Getenv("PORT"))
	return errors.Join(os.WriteFile(filepath.Join(env.WorkDir, "card.yaml"), card, 0o600), os.WriteFile(filepath.Join(env.WorkDir, "pay.yaml"), []byte(pay), 0o600))
}

// freePort is a port that was free a moment ago, for servers that a script
// stops and starts again.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// waitFile waits until files exist and are not empty: "waitfile NAME…".
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: waitfile NAME…")
	}
	deadline := time.Now().Add(20 * time.Second)
	for _, name := range args {
		for {
			if st, err := os.Stat(ts.MkAbs(name)); err == nil && st.Size() > 0 {
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("%s did not appear", name)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// pin takes a member out of the JSON on standard output, of the first in a list
// that has it, into an environment variable: "pin VARIABLE MEMBER".
func pin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pin VARIABLE MEMBER")
	}
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	if !strings.HasPrefix(text, "[") {
		text = "[" + text + "]"
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		ts.Fatalf("standard output is not JSON: %v", err)
	}
	for _, v := range list {
		if s, ok := v[args[1]].(string); ok {
			ts.Setenv(args[0], s)
			return
		}
	}
	ts.Fatalf("no member %s in %v", args[1], list)
}

// until runs a command again and again until its output has a text:
// "until TEXT COMMAND…".
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until TEXT COMMAND…")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q did not appear", args[0])
		}
	}
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

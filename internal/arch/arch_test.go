// Package arch tests how the code is arranged: the one-minute rule of
// ARCHITECTURE.md, what may reach the network, and how long things get. It
// has test files only.
package arch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

const root = "../.."

func TestFloors(t *testing.T) {
	all, err := list(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range checkImports(all) {
		t.Error(w)
	}
	for _, w := range checkReach(all) {
		t.Error(w)
	}
}

func TestSource(t *testing.T) {
	wrong, err := checkSource(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// TestPlanted makes a module with one of each violation and expects exactly
// these to be named.
func TestPlanted(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                       "module " + module + "\n\ngo 1.26\n",
		"format/check/check.go":        "package check\n",
		"format/mdoc/mdoc.go":          "package mdoc\nimport _ \"" + module + "/internal/web\"\n",
		"protocol/oauth/oauth.go":      "package oauth\nimport _ \"" + module + "/securearea\"\n",
		"securearea/area.go":           "package securearea\nimport _ \"net\"\n",
		"assure/assure.go":             "package assure\nimport _ \"" + module + "/statuslist\"\n",
		"statuslist/statuslist.go":     "package statuslist\nimport _ \"database/sql\"\n",
		"issuer/issuer.go":             "package issuer\nimport (\n_ \"net/http\"\n_ \"" + module + "/format/check\"\n)\n",
		"wallet/wallet.go":             "package wallet\nimport _ \"" + module + "/issuer\"\n",
		"wallet/web/web.go":            "package web\nimport _ \"net/http\"\n",
		"verifier/verifier.go":         "package verifier\nimport (\n_ \"testing\"\n_ \"" + module + "/internal/testkit\"\n)\n",
		"internal/web/web.go":          "package web\nimport (\n_ \"net/http\"\n_ \"" + module + "/format/check\"\n)\n",
		"internal/db/db.go":            "package db\nimport _ \"" + module + "/format/mdoc\"\n",
		"internal/testkit/testkit.go":  "package testkit\nimport _ \"testing\"\n",
		"internal/testkit/page/p.go":   "package page\nimport _ \"testing\"\n",
		"format/mdoc/mdoctest/m.go":    "package mdoctest\nimport (\n_ \"testing\"\n_ \"database/sql\"\n)\n",
		"cmd/eidos/main.go":            "package main\nimport (\n_ \"" + module + "/issuer\"\n_ \"" + module + "/wallet\"\n)\nfunc main() {}\n",
		"pkg/utils/utils.go":           "package utils\n",
		"internal/web/web_test.go":     "package web\nimport _ \"testing\"\n",
		"wallet/wallet_test.go":        "package wallet\nimport _ \"" + module + "/internal/testkit\"\n",
		"monitor/testdata/planted.go":  "package planted\nimport _ \"" + module + "/issuer\"\n",
		"provider/provider.go":         "package provider\nimport _ \"" + module + "/assure\"\n",
		"trust/trust.go":               "package trust\n",
		"verifier/core/core.go":        "package core\nimport _ \"" + module + "/format/check\"\n",
		"transport/transport.go":       "package transport\nimport _ \"" + module + "/securearea\"\n",
		"keyring/keyring.go":           "package keyring\nimport _ \"" + module + "/securearea\"\n",
		"interop/owf/owf.go":           "package owf\nimport _ \"" + module + "/issuer\"\n",
		"securearea/software/soft.go":  "package software\nimport _ \"" + module + "/securearea\"\n",
		"internal/fetch/fetch.go":      "package fetch\n",
		"securearea/areatest/a.go":     "package areatest\nimport (\n_ \"testing\"\n_ \"" + module + "/internal/testkit\"\n)\n",
		"monitor/monitor.go":           "package monitor\nimport _ \"" + module + "/securearea/areatest\"\n",
		"protocol/oid4vci/oid4vci.go":  "package oid4vci\nimport _ \"" + module + "/internal/fetch\"\n",
		"protocol/oid4vp/deep/deep.go": "package deep\nimport _ \"" + module + "/wallet/web\"\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, checkImports(all), []string{
		"protocol/oauth (protocol) imports securearea (secure areas)",
		"protocol/oid4vp/deep (protocol) imports wallet/web (role)",
		"wallet (role) imports issuer (role)",
		"verifier (role) imports internal/testkit (plumbing)",
		"verifier imports testing in production code",
		"monitor (role) imports securearea/areatest (secure areas)",
		"internal/db (plumbing) imports format/mdoc (format)",
		"transport (transports) imports securearea (secure areas)",
		"pkg/utils stands on no floor: name it in DESIGN.md and here",
	})
	expect(t, checkReach(all), []string{
		"format/mdoc reaches net/http: format/mdoc → internal/web → net/http",
		"assure reaches database/sql: assure → statuslist → database/sql",
		"statuslist reaches database/sql: statuslist → database/sql",
		"wallet reaches net/http: wallet → issuer → net/http",
		"protocol/oid4vp/deep reaches net/http: protocol/oid4vp/deep → wallet/web → net/http",
	})
}

func TestPlantedSource(t *testing.T) {
	long := "func long() {\n" + strings.Repeat("\t_ = 0\n", 79) + "}\n" // 81 lines
	fits := "func fits() {\n" + strings.Repeat("\t_ = 0\n", 78) + "}\n"
	wrong, err := checkSource(fstest.MapFS{
		"issuer/a.go":            {Data: []byte("package a\n" + long + fits)},
		"issuer/b.go":            {Data: []byte("package a\n" + strings.Repeat("\n", 600))},
		"issuer/c.go":            {Data: []byte("package a\n" + strings.Repeat("\n", 599) + "")},
		"issuer/a_test.go":       {Data: []byte("package a\n" + strings.Repeat("\n", 900) + long)},
		"issuer/testdata/bad.go": {Data: []byte("package a\n" + long)},
		"issuer/now.go":          {Data: []byte("package a\nimport \"time\"\nvar _ = time.Now\n")},
		"format/x/now.go":        {Data: []byte("package x\nimport \"time\"\n\nfunc f() { _ = time.Now() }\nfunc init() {}\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, wrong, []string{
		"issuer/a.go: func long has 81 lines, at most 80",
		"issuer/b.go has 601 lines, at most 600",
		"format/x/now.go:4 reads the clock: the caller passes now",
		"format/x/now.go: func init: build it where it is used",
	})
}

// expect compares without regard to order.
func expect(t *testing.T, got, want []string) {
	t.Helper()
	left := map[string]bool{}
	for _, w := range want {
		left[w] = true
	}
	for _, g := range got {
		if !left[g] {
			t.Errorf("unexpected: %s", g)
		}
		delete(left, g)
	}
	for w := range left {
		t.Errorf("missing: %s", w)
	}
}

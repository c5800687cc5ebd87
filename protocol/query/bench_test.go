package query_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/query"
)

// BenchmarkPlan matches the largest questions with fifty documents, all of the
// type asked for, as a multiple of hashing 1 MiB.
func BenchmarkPlan(b *testing.B) {
	var held []query.Held
	for i := range 50 {
		m := map[string]any{}
		for k := range 60 {
			m[fmt.Sprint("e", k)] = "x"
		}
		for nn := 10 + i%3; nn < 70; nn += 3 {
			m[fmt.Sprintf("age_over_%02d", nn)] = nn < 40
		}
		held = append(held, query.Held{Format: query.FormatMdoc, Type: "t", Bound: true, Claims: jsonClaims{space: m}})
	}
	var dcql askedDCQL
	dev := &mdoc.DeviceRequest{Info: &mdoc.DeviceRequestInfo{}}
	for i := range 32 {
		c := askedCredential{ID: fmt.Sprint("c", i), Format: query.FormatMdoc, Meta: map[string]any{"doctype_value": "t"}, Multiple: true}
		for k := range 24 {
			c.Claims = append(c.Claims, askedClaim{ID: fmt.Sprint(k), Path: []string{space, fmt.Sprint("e", k)}})
		}
		for k := range 16 { // none but the last can be answered
			c.ClaimSets = append(c.ClaimSets, []string{"0", "1", "2", "3", "4", fmt.Sprint(k), "none"})
		}
		c.Claims = append(c.Claims, askedClaim{ID: "none", Path: []string{space, "none"}})
		c.ClaimSets = append(c.ClaimSets, []string{"1", "2"})
		dcql.Credentials = append(dcql.Credentials, c)

		var all, alternatives []string
		for k := range 60 {
			all = append(all, fmt.Sprint("none", k))
			alternatives = append(alternatives, fmt.Sprintf("none%d: e%d+e%d | age_over_18 | e0", k, k, 59-k))
		}
		dev.Documents = append(dev.Documents, wants(all, alternatives...))
		dev.Info.UseCases = append(dev.Info.UseCases, mdoc.UseCase{DocumentSets: [][]int{{i}, {0, i}}})
	}
	text, err := json.Marshal(dcql)
	if err != nil {
		b.Fatal(err)
	}
	fromDCQL, err := query.ParseDCQL(text)
	if err != nil {
		b.Fatal(err)
	}
	fromISO, err := query.FromDeviceRequest(dev)
	if err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for name, q := range map[string]query.Query{"DCQL": fromDCQL, "ISO": fromISO} {
		b.Run(name, func(b *testing.B) {
			testkit.Ratio(b, func() { sha256.Sum256(block) }, "x-sha256-MiB", func() {
				if p := query.Make(q, held); !p.Satisfied || len(p.Credentials[31]) != len(held) {
					b.Fatal(p.Missing)
				}
			})
		})
	}
}

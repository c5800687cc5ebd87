package conf_test

import (
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/conf"
)

func TestAddresses(t *testing.T) {
	for s, want := range map[string]struct{ origin, address, loopback bool }{
		"https://issuer.example":              {true, true, false},
		"https://issuer.example:8443":         {true, true, false},
		"http://issuer.localhost:8080":        {true, true, true},
		"http://127.0.0.1:8080":               {true, true, true},
		"http://[::1]:8080":                   {true, true, true},
		"https://issuer.example/":             {false, true, false},
		"https://issuer.example/a?b":          {false, true, false},
		"http://issuer.example":               {},
		"http://localhost.example":            {},
		"https://a@issuer.example":            {},
		"https://issuer.example#x":            {},
		"ftp://localhost":                     {loopback: true},
		"issuer.example":                      {},
		"":                                    {},
		"https://issuer.example:port:notanum": {},
	} {
		if got := conf.Origin(s) == nil; got != want.origin {
			t.Errorf("origin %q: %t", s, got)
		}
		if got := conf.Address(s) == nil; got != want.address {
			t.Errorf("address %q: %t", s, got)
		}
		if got := conf.Loopback(s); got != want.loopback {
			t.Errorf("loopback %q: %t", s, got)
		}
	}
}

func TestProblems(t *testing.T) {
	var p conf.Problems
	p.Within("every", time.Second, time.Second, time.Minute)
	p.Length("name", "x", 1)
	p.Country("country", "UT")
	p.AddError("url", nil)
	conf.Tenants(&p, []string{"default", "a-1"}, func(s string) string { return s }, func(string) error { return nil })
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	p.Within("every", time.Hour, time.Second, time.Minute)
	p.Length("name", "", 48)
	p.Country("country", "ut")
	p.AddError("url", conf.Origin("x"))
	conf.Tenants(&p, []string{"a", "a", "A", "1a", "", strings.Repeat("a", 33)}, func(s string) string { return s }, func(string) error { return nil })
	if len(p) != 9 {
		t.Errorf("%d problems: %v", len(p), p.Err())
	}
	for _, want := range []string{"every: 1h0m0s is not 1s to 1m0s", "name: wanted 1 to 48 bytes", "country: ", "url: ", `tenants[1].id: "a" given twice`, "tenants[5].id: wanted"} {
		if !strings.Contains(p.Err().Error(), want) {
			t.Errorf("%q is not among %v", want, p.Err())
		}
	}
}

func TestDefault(t *testing.T) {
	given, left := time.Second, time.Duration(0)
	conf.Default(&given, time.Minute)
	conf.Default(&left, time.Minute)
	if given != time.Second || left != time.Minute {
		t.Error(given, left)
	}
}

package fetch_test

import (
	"testing"

	"github.com/eidos-id/eidos/internal/fetch"
)

func TestPrefer(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                      "application/json",
		"*/*":                                   "application/json",
		"application/*":                         "application/json",
		"application/jwt":                       "application/jwt",
		"APPLICATION/JWT":                       "application/jwt",
		"application/jwt, application/json":     "application/json",
		"application/jwt, */*;q=0.1":            "application/jwt",
		"application/json;q=0.5, application/*": "application/jwt",
		"application/json;charset=UTF-8":        "application/json",
		"application/json;q=0, application/jwt;q=0.001": "application/jwt",
		"text/html": "",
		"application/json;q=x, application/jwt;q=2": "",
	} {
		if got := fetch.Prefer(accept, "application/json", "application/jwt"); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
}

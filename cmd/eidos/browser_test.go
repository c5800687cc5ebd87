package main

import (
	"context"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/fetch"
)

func TestFollow(t *testing.T) {
	const back = "https://wallet.example/authorized"
	pages := map[string]fetch.Response{
		"https://issuer.example/authorize":  {Status: 302, Header: map[string]string{"location": "/next"}},
		"https://issuer.example/next":       {Status: 303, Header: map[string]string{"location": back + "?code=x&state=y"}},
		"https://issuer.example/form":       {Status: 200, Body: []byte("<form>")},
		"https://issuer.example/elsewhere":  {Status: 302, Header: map[string]string{"location": "https://evil.example/?code=x"}},
		"https://issuer.example/prefix":     {Status: 302, Header: map[string]string{"location": back + ".evil.example/?code=x"}},
		"https://issuer.example/in-circles": {Status: 302, Header: map[string]string{"location": "/in-circles"}},
	}
	do := func(_ context.Context, r fetch.Request) (fetch.Response, error) { return pages[r.URL], nil }
	follow := func(path string) (string, error) {
		return (&scriptedBrowser{fetch: do}).follow(back)(t.Context(), "https://issuer.example"+path)
	}
	if at, err := follow("/authorize"); err != nil || at != back+"?code=x&state=y" {
		t.Errorf("%s, %v", at, err)
	}
	for path, says := range map[string]string{"/form": "--follow", "/elsewhere": "--follow", "/prefix": "--follow", "/in-circles": "circles", "/none": "answered 0"} {
		if at, err := follow(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %s, %v", path, at, err)
		}
	}
}

package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

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

// After an answer the browser goes wherever the verifier sends it, with the
// cookies of each origin and without what is for the page alone.
func TestOpen(t *testing.T) {
	pages := map[string]fetch.Response{
		"https://shop.example/back?response_code=x": {Status: 302, Header: map[string]string{"location": "/login", "set-cookie": "session=1; HttpOnly"}},
		"https://shop.example/login":                {Status: 303, Header: map[string]string{"location": "https://account.example/#top"}},
		"https://account.example/":                  {Status: 200, Body: []byte("welcome")},
		"https://shop.example/app":                  {Status: 302, Header: map[string]string{"location": "shop-app://back?code=1"}},
		"https://shop.example/in-circles":           {Status: 302, Header: map[string]string{"location": "/in-circles"}},
		"https://shop.example/nowhere":              {Status: 302, Header: map[string]string{}},
		"https://shop.example/broken":               {Status: 302, Header: map[string]string{"location": "http://[::1"}},
		"https://shop.example/gone":                 {Status: 404},
	}
	var cookies []string
	do := func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if left, ok := ctx.Deadline(); !ok || time.Until(left) > openWithin {
			t.Error("it may take for ever")
		}
		cookies = append(cookies, r.Header["cookie"])
		return pages[r.URL], nil
	}
	open := func(path string) (string, error) {
		cookies = nil
		return (&scriptedBrowser{fetch: do}).open(t.Context(), "https://shop.example"+path)
	}
	if at, err := open("/back?response_code=x#response_code=y"); err != nil || at != "https://account.example/#top" || !slices.Equal(cookies, []string{"", "session=1", ""}) {
		t.Errorf("%s, %v, cookies %q", at, err, cookies)
	}
	if at, err := open("/app"); err != nil || at != "shop-app://back?code=1" {
		t.Errorf("%s, %v", at, err)
	}
	for path, says := range map[string]string{"/in-circles": "circles", "/nowhere": "answered 302", "/broken": "no address", "/gone": "answered 404"} {
		if at, err := open(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %s, %v", path, at, err)
		}
	}
}

package fetch_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/fetch"
)

func TestForm(t *testing.T) {
	r := fetch.FormRequest("https://issuer.example/token", url.Values{"grant_type": {"authorization_code"}, "code": {"a b&c"}})
	form, err := r.Form()
	if err != nil || form.Get("code") != "a b&c" || r.Method != "POST" {
		t.Fatalf("%s %v, error %v", r.Method, form, err)
	}
	r.Header["content-type"] = "Application/X-WWW-Form-Urlencoded; charset=UTF-8"
	if _, err := r.Form(); err != nil {
		t.Errorf("media type with a parameter: %v", err)
	}
	r.Header["content-type"] = "application/json"
	if _, err := r.Form(); !errors.Is(err, fetch.ErrForm) {
		t.Errorf("other media type: %v", err)
	}
}

func TestParseFormRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"twice":                "code=a&code=a",
		"twice, one by escape": "code=a&c%6fde=b",
		"bad escape":           "code=%zz",
		"semicolon":            "a=1;b=2",
		"too many":             strings.Repeat("a=1&", 64) + "b=1",
	} {
		if form, err := fetch.ParseForm(s); !errors.Is(err, fetch.ErrForm) {
			t.Errorf("%s: %v, error %v", name, form, err)
		}
	}
	if _, err := fetch.ParseForm("pin=12%zz34"); err == nil || strings.Contains(err.Error(), "zz") {
		t.Errorf("the error quotes a value: %v", err)
	}
}

func TestQuery(t *testing.T) {
	q, err := fetch.Request{URL: "https://issuer.example/authorize?client_id=x&request_uri=urn%3Ay#top"}.Query()
	if err != nil || q.Get("request_uri") != "urn:y" {
		t.Errorf("%v, error %v", q, err)
	}
	if q, err := (fetch.Request{URL: "https://issuer.example/"}).Query(); err != nil || len(q) != 0 {
		t.Errorf("no query: %v, error %v", q, err)
	}
}

func TestHeaders(t *testing.T) {
	r := fetch.Request{Header: map[string]string{"DPoP": "proof"}}
	if r.Get("dpop") != "proof" || r.Get("DPoP") != "proof" || r.Get("other") != "" {
		t.Errorf("headers are not found by name in any case")
	}
	if mt := (fetch.Response{Header: map[string]string{"content-type": "Application/JSON; charset=utf-8"}}).MediaType(); mt != "application/json" {
		t.Errorf("media type %q", mt)
	}
}

func TestJSON(t *testing.T) {
	if _, err := fetch.JSONRequest("https://issuer.example/", make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	r := fetch.JSONResponse(400, map[string]string{"error": "invalid_grant"})
	if string(r.Body) != `{"error":"invalid_grant"}` || r.Status != 400 || r.Get("cache-control") != "no-store" {
		t.Errorf("%d %v %s", r.Status, r.Header, r.Body)
	}
}

// What a stranger says is shortened and printable, or left out.
func TestRefusal(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"invalid_request","error_description":"the request is finished"}`: "invalid_request: the request is finished",
		`{"error":"over"}`: "over",
		`{"error":"a\u001b[2Jb\u202ec","error_description":"d\ne"}`: "a?[2Jb?c: d?e",
		`{"error":"` + strings.Repeat("x", 5000) + `"}`:             strings.Repeat("x", 300),
		`<html>`: "",
		`{"error":"` + strings.Repeat("x", 70000) + `"}`: "",
	} {
		if got := (fetch.Response{Status: 400, Body: []byte(body)}).Refusal(); got != want {
			t.Errorf("%.60s: %.80q", body, got)
		}
	}
}

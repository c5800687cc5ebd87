package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/eidos-id/eidos/cmd/eidos/demodata"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/issuer/source"
)

// scriptedBrowser is a person with a browser in the demonstration: it goes to
// the authority's page, fills the form in, approves, and ends where the page
// sends it back to the app.
type scriptedBrowser struct {
	fetch  fetch.Func
	cookie string
}

// identify walks through the authority's pages and returns the URI that leads
// back to the app.
func (b *scriptedBrowser) identify(ctx context.Context, page, id, code string) (string, error) {
	at, body, err := b.get(ctx, page)
	if err != nil {
		return "", err
	}
	at, body, err = b.submit(ctx, at, body, "identify", url.Values{"subject": {id}, "code": {code}})
	if err != nil {
		return "", err
	}
	at, _, err = b.submit(ctx, at, body, "decision", url.Values{"decision": {"approve"}})
	if err != nil {
		return "", err
	}
	return at, nil
}

// follow goes where an authority's page leads that asks for nothing.
func (b *scriptedBrowser) follow(redirectURI string) func(ctx context.Context, page string) (string, error) {
	return func(ctx context.Context, page string) (string, error) {
		at, _, err := b.get(ctx, page)
		if err != nil {
			return "", err
		}
		if !strings.HasPrefix(at, redirectURI+"?") {
			return "", errors.New("the issuer's page asks for something: leave --follow out and open it in a browser")
		}
		return at, nil
	}
}

var (
	formToken  = regexp.MustCompile(`name="form" value="([^"]*)"`)
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
)

// submit posts the form of a page whose action ends with the word.
func (b *scriptedBrowser) submit(ctx context.Context, at, body, word string, form url.Values) (string, string, error) {
	token := formToken.FindStringSubmatch(body)
	if token == nil {
		return "", "", fmt.Errorf("the page has no form: %s", strings.Join(strings.Fields(body), " "))
	}
	form.Set("form", html.UnescapeString(token[1]))
	for _, action := range formAction.FindAllStringSubmatch(body, -1) {
		if target := html.UnescapeString(action[1]); strings.HasSuffix(target, "/"+word) {
			u, err := resolve(at, target)
			if err != nil {
				return "", "", err
			}
			return b.do(ctx, fetch.FormRequest(u, form))
		}
	}
	return "", "", fmt.Errorf("the page has no form to %s", word)
}

func (b *scriptedBrowser) get(ctx context.Context, page string) (string, string, error) {
	return b.do(ctx, fetch.Request{Method: "GET", URL: page, Header: map[string]string{}})
}

// do sends a request and follows redirects until they leave the authority.
func (b *scriptedBrowser) do(ctx context.Context, r fetch.Request) (at, body string, err error) {
	for range 10 {
		if b.cookie != "" {
			r.Header["cookie"] = b.cookie
		}
		resp, err := b.fetch(ctx, r)
		if err != nil {
			return "", "", err
		}
		if set := resp.Header["set-cookie"]; set != "" {
			b.cookie, _, _ = strings.Cut(set, ";")
		}
		if resp.Status < 300 || resp.Status > 399 {
			if resp.Status != 200 {
				return "", "", fmt.Errorf("%s: the page answered %d", r.URL, resp.Status)
			}
			return r.URL, string(resp.Body), nil
		}
		target, err := resolve(r.URL, resp.Header["location"])
		if err != nil {
			return "", "", err
		}
		if !sameOrigin(target, r.URL) {
			return target, "", nil // back to the app
		}
		r = fetch.Request{Method: "GET", URL: target, Header: map[string]string{}}
	}
	return "", "", errors.New("the pages lead in circles")
}

func resolve(base, ref string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	target, err := u.Parse(ref)
	if err != nil {
		return "", err
	}
	return target.String(), nil
}

func sameOrigin(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ua.Scheme == ub.Scheme && ua.Host == ub.Host
}

// readEnrolmentCode looks into the letter to a person of the demonstration.
func readEnrolmentCode(ctx context.Context, dir, id string) (string, error) {
	src, err := source.OpenCSV(filepath.Join(dir, demodata.Register), source.Options{})
	if err != nil {
		return "", err
	}
	p, err := src.Find(ctx, id)
	if err != nil {
		return "", err
	}
	return p.EnrolmentCode, nil
}

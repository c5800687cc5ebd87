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
	"time"

	"github.com/eidos-id/eidos/cmd/eidos/demodata"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/issuer/source"
)

// scriptedBrowser is a person with a browser in the demonstration: it goes to
// the authority's page, fills the form in, approves, and ends where the page
// sends it back to the app.
type scriptedBrowser struct {
	fetch   fetch.Func
	cookies map[string]string // by origin
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

// openWithin is how long a page may take to open, all redirects together.
const openWithin = 30 * time.Second

// open opens a page, as the browser does that a verifier's answer leads to, and
// returns where its redirects ended: at a page, or at a link for an app.
//
// OpenID4VP 1.0, 8.2.
func (b *scriptedBrowser) open(ctx context.Context, page string) (at string, err error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	at = page
	for range 10 {
		u, err := url.Parse(at)
		if err != nil {
			return "", errors.New("the verifier's page leads to what is no address")
		}
		if u.Scheme != "https" && u.Scheme != "http" {
			return at, nil // for an app
		}
		u.Fragment = "" // stays in the browser: RFC 9110, 4.2.5
		resp, err := b.exchange(ctx, fetch.GetRequest(u.String(), "text/html"))
		switch {
		case err != nil:
			return "", fmt.Errorf("open the verifier's page: %w", err)
		case resp.Status >= 200 && resp.Status < 300:
			return at, nil
		case !isRedirect(resp):
			return "", fmt.Errorf("the verifier's page on %s answered %d", u.Host, resp.Status)
		}
		if at, err = resolve(at, resp.Header["location"]); err != nil {
			return "", errors.New("the verifier's page leads to what is no address")
		}
	}
	return "", errors.New("the verifier's pages lead in circles")
}

// isRedirect reports whether an answer sends the browser on. RFC 9110, 15.4.
func isRedirect(r fetch.Response) bool {
	return r.Status >= 300 && r.Status <= 399 && r.Header["location"] != ""
}

// exchange sends a request with the origin's cookie, and keeps the one that
// comes back.
func (b *scriptedBrowser) exchange(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return fetch.Response{}, err
	}
	origin := u.Scheme + "://" + u.Host
	if cookie := b.cookies[origin]; cookie != "" {
		r.Header["cookie"] = cookie
	}
	resp, err := b.fetch(ctx, r)
	if set := resp.Header["set-cookie"]; err == nil && set != "" {
		if b.cookies == nil {
			b.cookies = map[string]string{}
		}
		b.cookies[origin], _, _ = strings.Cut(set, ";")
	}
	return resp, err
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
		resp, err := b.exchange(ctx, r)
		if err != nil {
			return "", "", err
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

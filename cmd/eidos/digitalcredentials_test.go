//go:build unix

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit/chromium"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// only is of what a page asks the browser the request of one protocol.
func only(t *testing.T, asked []byte, protocol string) []byte {
	t.Helper()
	list, err := dcapi.ParseRequests(asked)
	if err != nil {
		t.Fatal(err)
	}
	list = slices.DeleteFunc(list, func(r dcapi.Request) bool { return r.Protocol != protocol })
	if len(list) != 1 {
		t.Fatalf("the page asks %d times by %s", len(list), protocol)
	}
	out, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// answersAs has the phone answer what the page asks by a protocol, in the name of
// an origin.
func (d *demo) answersAs(t *testing.T, asked []byte, protocol, origin string) []byte {
	t.Helper()
	response, _, err := d.wallet.AnswerBrowser(t.Context(), only(t, asked, protocol), origin)
	if err != nil {
		t.Fatalf("%s: %v", protocol, err)
	}
	return response
}

// stageWithBrowser is the demonstration with a browser whose requests to wallets
// are held.
type stageWithBrowser struct {
	*testing.T
	*demo
	*chromium.Page
	shop string // origin
}

func newStageWithBrowser(t *testing.T) stageWithBrowser {
	t.Helper()
	page := chromium.Open(t).HoldRequests()
	d := newStage(t)
	return stageWithBrowser{t, d, page, d.servers.house.shop.origin}
}

// press presses the shop's button and returns what the page asks the browser.
func (s stageWithBrowser) press() []byte {
	s.Helper()
	s.Go(s.shop + "/").Until("!!document.querySelector('.eidos-button')")
	s.Eval(`(() => {
		const real = fetch;
		fetch = async (...what) => {
			const reply = await real(...what);
			if (String(what[0]).endsWith("/start-verification")) globalThis.begun = await reply.clone().json();
			return reply;
		};
	})()`)
	return s.Press(".eidos-button").Requests()
}

// takesPhone has the phone answer the link of what the page began.
func (s stageWithBrowser) takesPhone() {
	s.Helper()
	link, _ := s.Eval("globalThis.begun.link").(string)
	if _, _, err := s.wallet.Answer(s.Context(), link); err != nil {
		s.Fatal(err)
	}
}

// Pages really call navigator.credentials.get, in a browser whose wallet gives
// them what our app answers: the shop's page with the button and the verifier's
// own page that waits, by each protocol.
//
// W3C Digital Credentials (working draft), 4; OpenID4VP 1.0, A.
func TestDigitalCredentialsInABrowser(t *testing.T) {
	s := newStageWithBrowser(t)
	for _, protocol := range []string{oid4vp.ProtocolSigned, oid4vp.ProtocolMultisigned, dcapi.ProtocolMdoc, oid4vp.ProtocolUnsigned} {
		s.Answers(s.answersAs(t, s.press(), protocol, s.shop)).Says("Over 18: yes")
	}
	own := s.servers.urls[roleVerifier]
	for _, protocol := range []string{oid4vp.ProtocolSigned, dcapi.ProtocolMdoc, oid4vp.ProtocolUnsigned} {
		asked := s.Go(own + "/default/").Press("main form button").Press("#digital").Requests()
		s.Answers(s.answersAs(t, asked, protocol, own)).Says("it is in order")
	}
}

// Where nothing comes through the browser, because the person says no or nobody
// is there to ask, the code and the link are there, and what is answered by them
// ends the browser's question.
func TestBrowserWithoutAnAnswer(t *testing.T) {
	s := newStageWithBrowser(t)
	const code = "!!document.querySelector('svg.eidos-qr') && !document.querySelector('.eidos-panel').hidden"

	s.press()
	s.Declines().Says("Nothing came through the browser").Until(code).Fits()
	s.takesPhone()
	s.Says("Over 18: yes")

	s.press() // again by the browser, after a no
	again := s.Declines().Until(code).Press(".eidos-again").Requests()
	s.Answers(s.answersAs(t, again, oid4vp.ProtocolSigned, s.shop)).Says("Over 18: yes")

	s.press()
	s.Waits().Says("Your browser asks").Fits().Press(".eidos-other").Until(code)
	s.takesPhone()
	s.Says("Over 18: yes")

	s.press()
	s.Waits().Says("Your browser asks")
	s.takesPhone()
	s.Says("Over 18: yes")

	s.press()
	s.Waits().Says("Your browser asks").Press(".eidos-cancel").Until("document.querySelector('.eidos-panel').hidden && !document.querySelector('.eidos-button').disabled")
	s.Press(".eidos-button").Requests() // the browser is free for the next question

	own := s.servers.urls[roleVerifier]
	wait := func() {
		s.Helper()
		s.Go(own + "/default/").Press("main form button").Press("#digital").Requests()
	}
	wait()
	s.Declines().Says("Nothing came through the browser").Fits()
	s.Press("#digital").Requests() // and again
	wait()
	s.Waits()
	link, _ := s.Eval("document.querySelector('a.button[href^=\"openid4vp:\"]').href").(string)
	if _, _, err := s.wallet.Answer(s.Context(), link); err != nil {
		t.Fatal(err)
	}
	s.Says("it is in order")
}

// What a holder answered to a page of another origin is not accepted from ours.
func TestForeignAnswerInABrowser(t *testing.T) {
	const evil = "https://evil.example"
	s := newStageWithBrowser(t)

	earlier := s.answersAs(t, s.press(), dcapi.ProtocolMdoc, s.shop)
	asked := s.press()
	s.Answers(earlier).Says("The answer was not accepted").Until("!!document.querySelector('svg.eidos-qr')") // to another question
	s.takesPhone()
	s.Says("Over 18: yes")

	// What is signed is so for the pages of one origin, and the app sees to that.
	for _, signed := range []string{oid4vp.ProtocolSigned, oid4vp.ProtocolMultisigned, dcapi.ProtocolMdoc} {
		if response, _, err := s.wallet.AnswerBrowser(t.Context(), only(t, asked, signed), evil); response != nil || err == nil {
			t.Errorf("%s is answered to another page", signed)
		}
	}
	s.Answers(s.answersAs(t, s.press(), oid4vp.ProtocolUnsigned, evil)) // signed for it by the device
	if text := s.Says("We could not check your age").Text("main"); !strings.Contains(text, "device") || strings.Contains(text, "Over 18: yes") {
		t.Error(text)
	}
}

// A browser that has no such interface shows code and link at once.
func TestBrowserWithoutDigitalCredentials(t *testing.T) {
	c := chromium.Open(t, "--disable-features=WebIdentityDigitalCredentials", "--disable-blink-features=DigitalCredentials")
	d := newStage(t)
	c.Go(d.servers.house.shop.origin + "/").Until("typeof DigitalCredential === 'undefined'").Press(".eidos-button").Until("!!document.querySelector('svg.eidos-qr')")
	if c.Eval("!!document.querySelector('.eidos-again')") != false {
		t.Error("the page offers to ask a browser that cannot")
	}
	c.Go(d.servers.urls[roleVerifier] + "/default/").Press("main form button").Until("!!document.querySelector('img.qr') && document.getElementById('digital').hidden")
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
	"github.com/eidos-id/eidos/wallet"
)

// askIdentity is what a website asks that has to know its customers; a format
// goes behind the type.
const askIdentity = "pid%s:family_name,given_name,birth_date"

// begin has a relying party ask over the internet. Whoever takes the answer
// closes.
func (d *demo) begin(ctx context.Context, tenant string, p verifier.AskParams) (*verifier.Verifier, verifier.Transaction, func() error, error) {
	h := *d.servers.house
	h.closers = nil
	v, err := h.verifier(ctx, h.fetch)
	if err != nil {
		return nil, verifier.Transaction{}, nil, errors.Join(err, h.close())
	}
	tx, err := v.Begin(ctx, tenant, p)
	if err != nil {
		return nil, tx, nil, errors.Join(err, h.close())
	}
	return v, tx, h.close, nil
}

// askRemotely begins a transaction of the website and has the phone answer
// with w. It returns what the website knows afterwards.
func (d *demo) askRemotely(ctx context.Context, w *wallet.Wallet, ask string) (verifier.Outcome, error) {
	v, tx, end, err := d.begin(ctx, "default", verifier.AskParams{Ask: ask})
	if err != nil {
		return verifier.Outcome{}, err
	}
	defer end()
	if _, _, err := w.Answer(ctx, tx.Link); err != nil && !errors.Is(err, wallet.ErrRefused) {
		out, outErr := v.Outcome(ctx, "default", tx.ID, "")
		if outErr == nil && out.State == verifier.Done {
			return out, nil // the website did not accept the answer, and says why
		}
		return verifier.Outcome{}, err
	}
	return v.Outcome(ctx, "default", tx.ID, "")
}

// identity makes sure that a website has name and birth date, in a format, and
// nothing else, and puts them into words.
func identity(out verifier.Outcome, format string) (string, error) {
	if out.Result == nil || !out.Result.OK() || len(out.Result.Documents) != 1 {
		return "", fmt.Errorf("the website has no valid result (%s) %s", out.State, reasonOf(out))
	}
	doc := out.Result.Documents[0]
	if want := []string{"birth_date", "family_name", "given_name"}; !slices.Equal(elementsOf(doc), want) || doc.Format != format {
		return "", fmt.Errorf("%v left the phone as %s, %v was asked for as %s", elementsOf(doc), doc.Format, want, format)
	}
	return doc.Name + " as " + formatName(doc.Format) + ": " + strings.Join(texts(doc), ", "), nil
}

// askFormat is a format as questions name it, see core.ParseAsk.
func askFormat(format string) string {
	if format == query.FormatSDJWT {
		return "@sd-jwt"
	}
	return "@mdoc"
}

// formatName is a format as people write it.
func formatName(format string) string {
	if format == query.FormatSDJWT {
		return "SD-JWT VC"
	}
	return "mdoc"
}

// showRemotely shows name and birth date of the PID.
func (d *demo) showRemotely(ctx context.Context) (string, error) {
	out, err := d.askRemotely(ctx, d.wallet, fmt.Sprintf(askIdentity, askFormat(query.FormatMdoc)))
	if err != nil {
		return "", err
	}
	return identity(out, query.FormatMdoc)
}

func reasonOf(out verifier.Outcome) string {
	if out.Result != nil {
		return out.Result.Reason
	}
	return out.Error
}

// showSameDevice has a website open the app by a link, and the app send the
// browser back with a code. Without the code nobody gets the answer: who passed
// the link on to somebody else cannot read it. OpenID4VP 1.0, 13.3.
func (d *demo) showSameDevice(ctx context.Context) (string, error) {
	back := d.servers.house.shop.origin + "/verified"
	v, tx, end, err := d.begin(ctx, shopTenant, verifier.AskParams{
		Ask: fmt.Sprintf(askIdentity, askFormat(query.FormatSDJWT)), Purpose: "Make out the bill", SameDevice: true, RedirectURI: back,
	})
	if err != nil {
		return "", err
	}
	defer end()
	_, redirect, err := d.wallet.Answer(ctx, tx.Link)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(redirect)
	if err != nil {
		return "", err
	}
	code := u.Query().Get("response_code")
	if !strings.HasPrefix(redirect, back+"?") || code == "" {
		return "", errors.New("the app does not send the browser back with a code")
	}
	if _, err := v.Outcome(ctx, shopTenant, tx.ID, ""); !errors.Is(err, verifier.ErrResponseCode) {
		return "", fmt.Errorf("the answer opens without the code: %w", err)
	}
	out, err := v.Outcome(ctx, shopTenant, tx.ID, code)
	if err != nil {
		return "", err
	}
	shown, err := identity(out, query.FormatSDJWT)
	return shown + "; it opens only with the code that the browser came back with", err
}

// customer is a browser with the shop's page open.
type customer struct {
	shop    *shop
	browser *scriptedBrowser
}

func (d *demo) customer() customer {
	return customer{d.servers.house.shop, &scriptedBrowser{fetch: d.keep.fetch("browser", d.servers.house.network)}}
}

// press presses the button, as eidos-verify.js does.
func (c customer) press(ctx context.Context) (verifier.Button, error) {
	var b verifier.Button
	_, body, err := c.browser.do(ctx, fetch.Request{Method: "POST", URL: c.shop.origin + "/start-verification", Header: map[string]string{}})
	if err == nil {
		err = json.Unmarshal([]byte(body), &b)
	}
	return b, err
}

var anEvent = regexp.MustCompile(`(?m)^data: (.*)$`)

// wait follows the server-sent events of a transaction to its end and returns
// the states.
func (c customer) wait(ctx context.Context, watch string) ([]string, error) {
	_, body, err := c.browser.get(ctx, watch+"/events")
	var states []string
	for _, event := range anEvent.FindAllStringSubmatch(body, -1) {
		var change verifier.Change
		if err := json.Unmarshal([]byte(event[1]), &change); err != nil {
			return nil, err
		}
		states = append(states, string(change.State))
	}
	return states, err
}

var shopAnswer = regexp.MustCompile(`id="answer"[^>]*>([^<]*)<`)

// reads is what the shop's page says of the answer.
func (c customer) reads(ctx context.Context) (string, error) {
	_, body, err := c.browser.get(ctx, c.shop.origin+"/verified")
	if err != nil {
		return "", err
	}
	said := shopAnswer.FindStringSubmatch(body)
	if said == nil {
		return "", errors.New("the shop's page does not say how it went")
	}
	return html.UnescapeString(said[1]), nil
}

// showAcrossDevices has the shop's page show a QR code on one screen, the phone
// scan it, and the page learn of the answer by itself.
func (d *demo) showAcrossDevices(ctx context.Context) (string, error) {
	c := d.customer()
	button, err := c.press(ctx)
	if err != nil {
		return "", err
	}
	type waited struct {
		states []string
		err    error
	}
	page := make(chan waited, 1)
	go func() {
		states, err := c.wait(ctx, button.Watch)
		page <- waited{states, err}
	}()
	entry, _, err := d.wallet.Answer(ctx, button.Link) // what the code says
	if err != nil {
		return "", err
	}
	saw := <-page
	if saw.err != nil {
		return "", saw.err
	}
	if len(saw.states) == 0 || saw.states[len(saw.states)-1] != string(verifier.Done) {
		return "", fmt.Errorf("the page saw %v", saw.states)
	}
	said, err := c.reads(ctx)
	if err != nil {
		return "", err
	}
	if said != "Over 18: yes" {
		return "", fmt.Errorf("the shop's page says: %s", said)
	}
	return fmt.Sprintf("asked by %s (%s); its page learns of the answer by itself: %s", entry.Party.Name, entry.Party.Standing, said), nil
}

// showByBrowser has the shop's page ask the browser, which of what the page
// offers takes a protocol that it lets pass, and asks the app in the name of the
// page's origin.
//
// W3C Digital Credentials (working draft), 4.
func (d *demo) showByBrowser(ctx context.Context, format, protocol string) (string, error) {
	v, tx, end, err := d.begin(ctx, shopTenant, verifier.AskParams{Ask: fmt.Sprintf(askIdentity, askFormat(format)), Purpose: "Make out the bill"})
	if err != nil {
		return "", err
	}
	defer end()
	c := d.customer()
	asPage := func(method string, body []byte) (string, error) {
		_, answer, err := c.browser.do(ctx, fetch.Request{Method: method, URL: tx.Watch + "/dc", Body: body, Header: map[string]string{
			"origin": c.shop.origin, "content-type": "application/json",
		}})
		return answer, err
	}
	offered, err := asPage("GET", nil)
	if err != nil {
		return "", err
	}
	requests, err := dcapi.ParseRequests([]byte(offered))
	if err != nil {
		return "", err
	}
	passed, err := json.Marshal(slices.DeleteFunc(requests, func(r dcapi.Request) bool { return r.Protocol != protocol }))
	if err != nil {
		return "", err
	}
	response, _, err := d.wallet.AnswerBrowser(ctx, passed, c.shop.origin)
	if err != nil {
		return "", err
	}
	if _, err := asPage("POST", response); err != nil {
		return "", err
	}
	out, err := v.Outcome(ctx, shopTenant, tx.ID, "")
	if err != nil {
		return "", err
	}
	shown, err := identity(out, format)
	return fmt.Sprintf("%s; by %s, bound to the origin %s", shown, protocol, c.shop.origin), err
}

// refuser is a holder who says no.
type refuser struct{}

// Ask implements wallet.Consent.
func (refuser) Ask(context.Context, wallet.Question) (wallet.Answer, error) {
	return wallet.Answer{}, nil
}

// refuseRemotely says no to a website that asks for too much.
func (d *demo) refuseRemotely(ctx context.Context) (string, error) {
	phone := *d.phone
	phone.closers = nil
	defer phone.close()
	w, err := phone.wallet(ctx, refuser{})
	if err != nil {
		return "", err
	}
	out, err := d.askRemotely(ctx, w, "pid:family_name,given_name,birth_date,resident_address,portrait")
	if err != nil {
		return "", err
	}
	if out.State != verifier.Refused || out.Result != nil {
		return "", fmt.Errorf("the website holds the transaction for %s", out.State)
	}
	return "the website learns that the holder declined, and nothing else", nil
}

// refusedRemotely shows the mDL to the website, which refuses it, once the copy
// of the status list that it keeps is due.
func (d *demo) refusedRemotely(ctx context.Context) (string, error) {
	time.Sleep(statusMaxAge)
	out, err := d.askRemotely(ctx, d.wallet, askOnSite)
	if err != nil {
		return "", err
	}
	if out.Result == nil {
		return "", fmt.Errorf("the website has no result (%s) %s", out.State, out.Error)
	}
	return expectRevoked(*out.Result)
}

// learnRevoked has the phone ask the status list, as whoever it was shown to
// does, and be asked for the mDL once more.
func (d *demo) learnRevoked(ctx context.Context) (string, error) {
	doc, err := d.wallet.CheckStatus(ctx, d.docs["mdl"].ID)
	if err != nil {
		return "", err
	}
	if doc.Status != statuslist.Invalid {
		return "", fmt.Errorf("the phone finds the revoked document %s", doc.Status)
	}
	_, tx, end, err := d.begin(ctx, "default", verifier.AskParams{Ask: askOnSite})
	if err != nil {
		return "", err
	}
	defer end()
	if _, _, err := d.wallet.Answer(ctx, tx.Link); !errors.Is(err, wallet.ErrNothing) {
		return "", fmt.Errorf("asked for the revoked document the phone says: %w", err)
	}
	return doc.Name + ": revoked, says the issuer's list, which does not learn who asks for what", nil
}

func expectRevoked(res core.Result) (string, error) {
	if res.OK() {
		return "", errors.New("a revoked document was accepted")
	}
	if !strings.Contains(strings.ToLower(res.Reason), "revoked") {
		return "", fmt.Errorf("refused, but the reason is %q", res.Reason)
	}
	return "refused: " + res.Reason, nil
}

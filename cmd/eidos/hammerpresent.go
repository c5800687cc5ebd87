package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/hammer"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier"
)

// hammerPresentCmd loads a verifier.
type hammerPresentCmd struct {
	hammerFlags
	Transactions int    `placeholder:"N" help:"End when so many were answered."`
	Ask          string `default:"mdl:family_name,given_name,birth_date,age_over_18,portrait" help:"What the relying party asks for, as eidos verifier request takes it; of the driving licence."`
}

// Run loads a verifier.
func (c *hammerPresentCmd) Run(m *machine) error {
	return c.run(m, "verifier", c.Transactions, &hammerPresentLoad{cmd: c})
}

// hammerPresentAbout is what a run of hammer present is about.
type hammerPresentAbout struct {
	Ask    string `json:"ask"`
	Format string `json:"format"`
	Mode   string `json:"response_mode"`
}

// hammerPresentLoad is apps that show documents, and a relying party's system
// that has asked for them and fetches the results.
type hammerPresentLoad struct {
	cmd       *hammerPresentCmd
	run       *hammerRun
	documents *hammerDocuments
	token     string // of the relying party's system
	clients   []hammerShower
}

// hammerShower is an app and the relying party's system that it meets, with a
// connection each.
type hammerShower struct {
	load       *hammerPresentLoad
	app, party fetch.Func
}

// String says what is loaded.
func (l *hammerPresentLoad) String() string {
	return fmt.Sprintf("asked %s, answered by mdoc, %s", l.cmd.Ask, oid4vp.DirectPostJWT)
}

func (l *hammerPresentLoad) batch() int { return 1 }

func (l *hammerPresentLoad) about() hammerAbout {
	return hammerAbout{
		Present:  &hammerPresentAbout{Ask: l.cmd.Ask, Format: query.FormatMdoc, Mode: oid4vp.DirectPostJWT},
		Batch:    l.batch(),
		Prepared: "documents with a device key each, TLS handshakes, a warm-up, which fetches the status list",
	}
}

// unavoidable are the signature of the request, the key agreement and
// decryption of the response, and the signatures and digests of the document.
func (l *hammerPresentLoad) unavoidable() []hammer.Class { return cryptography() }

func (l *hammerPresentLoad) kinds() []string {
	return []string{"begin", "request", "response", "result"}
}

// kind is what the relying party asks of the API, or else the word behind the
// tenant.
func (l *hammerPresentLoad) kind(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "other"
	}
	parts := strings.Split(u.Path, "/")
	switch {
	case len(parts) > 2 && parts[1] == "default":
		return parts[2]
	case len(parts) > 2 && parts[1] == "v1" && parts[len(parts)-1] == "result":
		return "result"
	case len(parts) > 2 && parts[1] == "v1":
		return "begin"
	}
	return "other"
}

// prepare has the verifier trust our authority and makes the clients.
func (l *hammerPresentLoad) prepare(ctx context.Context, r *hammerRun) (err error) {
	l.run = r
	if l.documents, err = newHammerDocuments(ctx, r.origin+"/hammer/list", r.now()); err != nil {
		return err
	}
	if err := r.control.order(ctx, "issuer", l.documents.root.Raw, nil); err != nil {
		return err
	}
	if err := r.control.order(ctx, "list", l.documents.list, nil); err != nil {
		return err
	}
	if err := r.control.order(ctx, "token", nil, &l.token); err != nil {
		return err
	}
	for range r.flags.Clients {
		c := hammerShower{load: l}
		if c.app, err = r.connection(); err != nil {
			return err
		}
		if c.party, err = r.connection(); err != nil {
			return err
		}
		l.clients = append(l.clients, c)
	}
	return nil
}

// work prepares n flows: a document that was not shown before for each.
func (l *hammerPresentLoad) work(ctx context.Context, n int) ([]hammerFlow, error) {
	all := make([]hammerFlow, 0, n)
	for range n {
		signed, device, err := l.documents.one(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, func(ctx context.Context, client int) (int, error) {
			return 1, l.clients[client].flow(ctx, signed, device)
		})
	}
	return all, nil
}

// flow is one transaction: the relying party asks, the app answers, the relying
// party fetches the result.
func (c hammerShower) flow(ctx context.Context, signed *mdoc.IssuerSigned, device hammerKey) error {
	t, err := c.begin(ctx)
	if err != nil {
		return err
	}
	if err := c.answer(ctx, t.Link, signed, device); err != nil {
		return err
	}
	return c.result(ctx, t)
}

// call has the relying party's system call the API.
func (c hammerShower) call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := c.party(ctx, fetch.Request{
		Method: "POST", URL: c.load.run.origin + "/v1/default/transactions" + path, Body: body,
		Header: map[string]string{"content-type": "application/json", "authorization": "Bearer " + c.load.token},
	})
	if err != nil {
		return err
	}
	if resp.Status/100 != 2 {
		return fmt.Errorf("the API answers %d: %s", resp.Status, resp.Refusal())
	}
	return json.Unmarshal(resp.Body, out)
}

// begin has the relying party's system ask.
func (c hammerShower) begin(ctx context.Context) (t hammerTransaction, err error) {
	return t, c.call(ctx, "", map[string]string{"ask": c.load.cmd.Ask}, &t)
}

// result has the relying party's system fetch the answer, which has to be valid
// and complete.
func (c hammerShower) result(ctx context.Context, t hammerTransaction) error {
	var out verifier.Outcome
	if err := c.call(ctx, "/"+t.ID+"/result", map[string]string{"secret": t.Secret}, &out); err != nil {
		return err
	}
	if out.Result == nil || !out.Result.OK() {
		return fmt.Errorf("the result is not valid: %s %s", out.State, out.Error)
	}
	return nil
}

// hammerTransaction is what the relying party's system keeps with a session.
type hammerTransaction struct {
	ID, Secret, Link string
	Button           struct{ Watch string }
}

// answer is what an app does.
func (c hammerShower) answer(ctx context.Context, link string, signed *mdoc.IssuerSigned, device hammerKey) error {
	l, err := oid4vp.ParseLink(link)
	if err != nil {
		return err
	}
	object, nonce, err := l.Fetch(ctx, c.app)
	if err != nil {
		return err
	}
	req, _, err := oid4vp.Open(ctx, object, l, nonce, oid4vp.Environment{}, c.load.run.now())
	if err != nil {
		return err
	}
	plan := query.Make(req.Query, []query.Held{{
		Format: query.FormatMdoc, Type: signed.Auth.MSO.DocType, Bound: true, Claims: query.MdocClaims{Document: signed},
	}})
	chosen := plan.First(true)
	if len(chosen) != 1 {
		return errors.New("the question is not one that the driving licence answers alone")
	}
	var elements []mdoc.ElementRef
	for _, d := range chosen[0].Claims {
		ns, _ := d.Path[0].(string)
		id, _ := d.Path[1].(string)
		elements = append(elements, mdoc.ElementRef{NameSpace: ns, ID: id})
	}
	shown, err := signed.Select(elements)
	if err != nil {
		return err
	}
	transcript, err := req.Transcript()
	if err != nil {
		return err
	}
	if err := shown.Sign(ctx, transcript, device); err != nil {
		return err
	}
	response, err := mdoc.EncodeResponse([]*mdoc.Presentation{shown}, nil)
	if err != nil {
		return err
	}
	message, err := req.Answer(oid4vp.Presentations{req.Query.Credentials[chosen[0].Credential].ID: {oid4vp.EncodeMdoc(response)}})
	if err != nil {
		return err
	}
	resp, err := c.app(ctx, message)
	if err != nil {
		return err
	}
	_, err = oid4vp.ParseResult(resp)
	return err
}

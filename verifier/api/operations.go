package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/qrcode"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// operations is everything that the API does.
func (s *Server) operations() []rest.Operation {
	start := rest.Op("POST", "/v1/{tenant}/transactions", "startTransaction", "Ask a holder: a link and a QR code, and a secret that opens the answer.", Ask, 201, s.start)
	start.Idempotent = true
	all := []rest.Operation{
		rest.Op("GET", "/v1/{tenant}/presets", "listPresets", "Questions with a name.", Read, 200, s.presets),
		start,
		rest.Op("GET", "/v1/{tenant}/transactions", "listTransactions", "Transactions, the newest first: states and verdicts, no attributes.", Read, 200, s.list),
		rest.Op("GET", "/v1/{tenant}/transactions/{id}", "getTransaction", "One transaction: state, verdict and checks, no attributes.", Read, 200, s.get),
		rest.Events[verifier.Change]("/v1/{tenant}/transactions/{id}/events", "watchTransaction", "The states of a transaction as they come, until it has ended.", Read,
			func(w http.ResponseWriter, r *http.Request, c rest.Call) error {
				return s.verifier.ServeChanges(w, r, c.Tenant, c.ID)
			}),
		rest.OpJSON[resultRequest, resultAnswer]("POST", "/v1/{tenant}/transactions/{id}/result", "readResult", "The answer, for whoever has the secret.", Ask, 200, s.result),
		rest.Op("GET", "/v1/{tenant}/transactions/{id}/evidence", "getEvidence", "What is kept of a transaction, if that was asked for at its start.", Data, 200, s.evidence),
		rest.Op("DELETE", "/v1/{tenant}/transactions/{id}", "deleteTransaction", "Delete a transaction and everything that is known of it.", Ask, 204, s.remove),
		rest.Op("GET", "/v1/{tenant}/deletion-requests", "listDeletionRequests", "What holders ask to be deleted, the oldest first. Who asks has proved nothing yet.", Data, 200, s.deletions),
		rest.Op("POST", "/v1/{tenant}/deletion-requests/{id}/close", "closeDeletionRequest", "Forget a request that was dealt with.", Data, 204, s.closeDeletion),
		rest.Op("GET", "/v1/{tenant}/health", "getHealth", "What waits for receivers of webhooks.", Read, 200, s.health),
	}
	return append(all, rest.Webhooks(s.verifier.Outbox(), verifier.Events(), Admin, s.loopback)...)
}

type presetInfo struct {
	Name    string `json:"name" doc:"goes into ask"`
	Title   string `json:"title"`
	Ask     string `json:"ask" doc:"the question"`
	Purpose string `json:"purpose" doc:"for the holder"`
}

type presetList struct {
	Presets []presetInfo `json:"presets"`
}

func (s *Server) presets(c rest.Call, _ rest.None) (presetList, error) {
	list, err := s.verifier.Presets(c.Tenant)
	out := presetList{Presets: make([]presetInfo, len(list))}
	for i, p := range list {
		out.Presets[i] = presetInfo{p.Name, p.Title, p.Ask, p.Purpose}
	}
	return out, err
}

type startRequest struct {
	Ask         string               `json:"ask,omitempty" max:"4096" doc:"a preset, or a question such as pid:family_name,birth_date"`
	DCQL        json.RawMessage      `json:"dcql,omitempty" doc:"the question as DCQL, in the place of ask (OpenID4VP 1.0, 6)"`
	Purpose     string               `json:"purpose,omitempty" max:"200" doc:"for the holder; that of the preset if absent"`
	RedirectURI string               `json:"redirect_uri,omitempty" max:"2048" doc:"where the browser comes back to on the same device: one of the tenant's redirectURIs"`
	SameDevice  bool                 `json:"same_device,omitempty" doc:"hand the answer out only with the response_code that the browser comes back with"`
	Wallet      string               `json:"wallet,omitempty" max:"1024" doc:"authorization endpoint of a certain wallet, in the place of openid4vp:"`
	RetainHours int                  `json:"retain_hours,omitempty" min:"1" max:"87840" doc:"keep the answer and what came on the wire for this long; the holder is told. Absent: nothing is kept"`
	ByValue     bool                 `json:"by_value,omitempty" doc:"put the whole request into link, for the same device; the QR code leads to it all the same"`
	Unsigned    bool                 `json:"unsigned,omitempty" doc:"ask by link without proving who asks, where the tenant's compatibility allows it"`
	Mode        string               `json:"response_mode,omitempty" enum:"direct_post.jwt|direct_post|fragment" doc:"of the answer to a link; direct_post.jwt if absent, others where the tenant's compatibility allows them"`
	Agree       []verifier.Agreement `json:"transaction_data,omitempty" doc:"what the holder is to agree to by answering; it comes back as agreed"`
	QR          string               `json:"qr,omitempty" enum:"png|svg" doc:"answer with the link as a QR code, too"`
}

// started holds a secret. It is answered once, or again under the same
// Idempotency-Key, and is not stored where others could read it.
type started struct {
	ID         string          `json:"id" doc:"for logs, events and those who wait; no secret"`
	Secret     string          `json:"secret" doc:"opens the answer: keep it with the session of your user"`
	Link       string          `json:"link" doc:"opens the wallet: client_id, request_uri and request_uri_method, or with by_value the request itself, behind the scheme or the wallet's endpoint"`
	RequestURI string          `json:"request_uri"`
	Page       string          `json:"page" doc:"our own page that shows link and code and waits; holds the secret"`
	Expires    time.Time       `json:"expires"`
	QR         string          `json:"qr,omitempty" doc:"data: URL (RFC 2397) of an image of the link, by reference"`
	Button     verifier.Button `json:"button" doc:"for eidos-verify.js: pass it on to the page as it is"`
}

func (s *Server) start(c rest.Call, in startRequest) (started, error) {
	if in.SameDevice && in.QR != "" {
		return started{}, rest.Refusal(http.StatusUnprocessableEntity, "invalid", "A QR code is for another device: leave out qr, or same_device.")
	}
	tr, err := s.verifier.Begin(c, c.Tenant, verifier.AskParams{
		Ask: in.Ask, DCQL: in.DCQL, Purpose: in.Purpose, RedirectURI: in.RedirectURI, SameDevice: in.SameDevice, Wallet: in.Wallet,
		Retain: time.Duration(in.RetainHours) * time.Hour, ByValue: in.ByValue, Unsigned: in.Unsigned, ResponseMode: in.Mode,
		Agree: in.Agree,
	})
	if err != nil {
		return started{}, err
	}
	a := started{ID: tr.Number, Secret: tr.ID, Link: tr.Link, RequestURI: tr.RequestURI, Page: tr.Page, Expires: tr.Expires.UTC()}
	if a.Button, err = tr.Button(); err != nil || in.QR == "" {
		return a, err
	}
	code, err := qrcode.Screen(tr.Code)
	if err == nil {
		a.QR = code.DataURL(in.QR)
	}
	return a, err
}

type listFilter struct {
	Limit  int    `json:"limit,omitempty" min:"1" max:"500" doc:"of a page; 100 if absent"`
	Cursor string `json:"cursor,omitempty" max:"128" doc:"next of the page before"`
}

type transactionPage struct {
	Transactions []verifier.Past `json:"transactions"`
	Next         string          `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
}

const defaultPage = 100

func (s *Server) list(c rest.Call, in listFilter) (transactionPage, error) {
	if in.Limit == 0 {
		in.Limit = defaultPage
	}
	after, err := parseCursor(in.Cursor)
	if err != nil {
		return transactionPage{}, err
	}
	list, err := s.verifier.History(c, c.Tenant, after, in.Limit+1)
	page := transactionPage{Transactions: list}
	if len(list) > in.Limit {
		page.Transactions = list[:in.Limit]
		page.Next = cursor(list[in.Limit-1])
	}
	return page, err
}

// cursor names the place behind a transaction.
func cursor(p verifier.Past) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(db.Millis(p.Created), 10) + "." + p.ID))
}

func parseCursor(text string) (verifier.Position, error) {
	if text == "" {
		return verifier.Position{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	at, id, ok := strings.Cut(string(raw), ".")
	ms, err2 := strconv.ParseInt(at, 10, 64)
	if err != nil || err2 != nil || !ok || id == "" || ms <= 0 {
		return verifier.Position{}, rest.Refusal(http.StatusUnprocessableEntity, "invalid_cursor", "The cursor is not one of ours.")
	}
	return verifier.Position{Created: db.Time(ms), ID: id}, nil
}

func (s *Server) get(c rest.Call, _ rest.None) (verifier.Past, error) {
	return s.verifier.Past(c, c.Tenant, c.ID)
}

type resultRequest struct {
	Secret       string `json:"secret" min:"1" max:"128" doc:"of the answer to startTransaction"`
	ResponseCode string `json:"response_code,omitempty" max:"128" doc:"that the browser came back with"`
}

type resultAnswer struct {
	outcome
	Result *core.Result `json:"result,omitempty"`
}

type outcome struct {
	State   verifier.State `json:"state" enum:"waiting|fetched|done|refused|expired"`
	Error   string         `json:"error,omitempty" doc:"why nothing was shared, in words"`
	Expires time.Time      `json:"expires" doc:"of the request, or of the answer: then it is deleted"`
}

func (s *Server) result(c rest.Call, in resultRequest) (web.Spliced, error) {
	if once.Hash(in.Secret) != c.ID {
		return web.Spliced{}, rest.Refusal(http.StatusForbidden, "wrong_secret", "This is not the secret of the transaction.")
	}
	o, result, err := s.verifier.OutcomeJSON(c, c.Tenant, in.Secret, in.ResponseCode)
	return web.Spliced{Object: outcome{o.State, o.Error, o.Expires.UTC()}, Name: "result", Value: result}, err
}

func (s *Server) evidence(c rest.Call, _ rest.None) (verifier.Evidence, error) {
	return s.verifier.Evidence(c, c.Tenant, c.ID)
}

func (s *Server) remove(c rest.Call, _ rest.None) (rest.None, error) {
	return rest.None{}, s.verifier.Delete(c, c.Tenant, c.ID)
}

type deletionFilter struct {
	Limit int `json:"limit,omitempty" min:"1" max:"500" doc:"100 if absent"`
}

type deletionList struct {
	Requests []verifier.Deletion `json:"deletion_requests"`
}

func (s *Server) deletions(c rest.Call, in deletionFilter) (deletionList, error) {
	if in.Limit == 0 {
		in.Limit = defaultPage
	}
	list, err := s.verifier.Deletions(c, c.Tenant, in.Limit)
	return deletionList{list}, err
}

func (s *Server) closeDeletion(c rest.Call, _ rest.None) (rest.None, error) {
	return rest.None{}, s.verifier.CloseDeletion(c, c.Tenant, c.ID)
}

type health struct {
	Waiting int64 `json:"events_waiting" doc:"for receivers of webhooks"`
	GivenUp int64 `json:"events_given_up" doc:"in the last 30 days"`
}

func (s *Server) health(c rest.Call, _ rest.None) (health, error) {
	var h health
	all, err := s.verifier.Outbox().Depths(c)
	for _, d := range all {
		if d.Tenant == c.Tenant {
			h.Waiting, h.GivenUp = d.Waiting, d.GivenUp
		}
	}
	return h, err
}

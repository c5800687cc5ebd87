package admin

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
)

type documentFilter struct {
	Subject  string `json:"subject,omitempty" max:"128" doc:"the person's id in the register"`
	Offering string `json:"offering,omitempty" max:"64"`
	State    string `json:"state,omitempty" enum:"valid|expired|suspended|revoked"`
	Limit    int    `json:"limit,omitempty" min:"1" max:"500" doc:"of a page; 100 if absent"`
	Cursor   string `json:"cursor,omitempty" max:"128" doc:"next of the page before"`
}

type documentPage struct {
	Documents []issuer.Document `json:"documents"`
	Next      string            `json:"next,omitempty" doc:"cursor of the next page; absent at the end"`
}

const defaultPage = 100

func (s *Server) listDocuments(c rest.Call, in documentFilter) (documentPage, error) {
	page := documentPage{Documents: []issuer.Document{}}
	if in.Limit == 0 {
		in.Limit = defaultPage
	}
	f := issuer.Filter{Subject: in.Subject, Offering: in.Offering, State: issuer.State(in.State), Limit: in.Limit + 1}
	var err error
	if f.After, err = parseCursor(in.Cursor); err != nil {
		return page, err
	}
	list, err := s.authority.List(c, c.Tenant, f)
	if err != nil {
		return page, err
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		page.Next = cursor(list[len(list)-1])
	}
	page.Documents = append(page.Documents, list...)
	return page, nil
}

// cursor names the place behind a document.
func cursor(d issuer.Document) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(db.Millis(d.Issued), 10) + "." + d.ID))
}

func parseCursor(text string) (issuer.Position, error) {
	if text == "" {
		return issuer.Position{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	at, id, ok := strings.Cut(string(raw), ".")
	ms, err2 := strconv.ParseInt(at, 10, 64)
	if err != nil || err2 != nil || !ok || id == "" || ms <= 0 {
		return issuer.Position{}, rest.Refusal(http.StatusUnprocessableEntity, "invalid_cursor", "The cursor is not one of ours.")
	}
	return issuer.Position{Issued: time.UnixMilli(ms), ID: id}, nil
}

func (s *Server) getDocument(c rest.Call, _ rest.None) (issuer.Document, error) {
	list, err := s.authority.List(c, c.Tenant, issuer.Filter{ID: c.ID, Limit: 1})
	if err != nil {
		return issuer.Document{}, err
	}
	if len(list) == 0 {
		return issuer.Document{}, issuer.ErrUnknownDocument
	}
	return list[0], nil
}

type reason struct {
	Reason string `json:"reason" min:"1" max:"200" doc:"for the authority's own books; no personal data"`
}

type selection struct {
	Subject  string `json:"subject" min:"1" max:"128" doc:"the person's id in the register"`
	Offering string `json:"offering,omitempty" max:"64" doc:"only these"`
	Reason   string `json:"reason" min:"1" max:"200" doc:"for the authority's own books; no personal data"`
}

type changed struct {
	Documents []string `json:"documents" doc:"ids of all that are meant, whether or not this changed them"`
	Published bool     `json:"published" doc:"whether the status lists say so already; if not they will within a minute"`
}

// event is something that happens to documents: Authority.Revoke and the like.
type event struct {
	s  *Server
	do func(a *issuer.Authority, ctx context.Context, tenant string, which issuer.Selection, reason string) ([]string, error)
}

// one has an event happen to a document.
func (e event) one(c rest.Call, in reason) (changed, error) {
	return e.happen(c, issuer.Selection{Document: c.ID}, in.Reason)
}

// all has an event happen to documents of a person.
func (e event) all(c rest.Call, in selection) (changed, error) {
	return e.happen(c, issuer.Selection{Subject: in.Subject, Offering: in.Offering}, in.Reason)
}

func (e event) happen(c rest.Call, which issuer.Selection, reason string) (changed, error) {
	ids, err := e.do(e.s.authority, c, c.Tenant, which, reason)
	if len(ids) == 0 {
		return changed{}, err
	}
	if err != nil { // it stands, and is published later
		web.Log(c).Error("done, not yet published", "error", err.Error())
	}
	return changed{Documents: ids, Published: err == nil}, nil
}

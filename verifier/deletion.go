package verifier

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/web"
)

// Holders ask the relying party here to delete what they shared: with a form that
// their app opens in a browser, or by a message of the app. The address is the
// support URI in the certificate. It is recorded and told to the operator, who
// has to find out who asks before anything is deleted: who writes here has proved
// nothing.
//
// EUDI TS7 1.0, 2.2 (DATA_DLT_02, _07) and 3; Regulation (EU) 2016/679, Article 17.

// DeletionRequest is what a holder asks. Everything in it was written by a
// stranger.
type DeletionRequest struct {
	// ResponseURI is where the app had sent the answer.
	ResponseURI string `json:"response_uri,omitempty" doc:"where the app had sent the answer"`
	// Shared is when, in the holder's words or RFC 3339.
	Shared string `json:"shared,omitempty" doc:"when it was shared, in the holder's words or RFC 3339"`
	// Elements are the names of what is to be deleted; none for everything.
	Elements []string `json:"elements,omitempty" doc:"names of what is to be deleted; none for everything"`
	// Contact is how to reach the holder.
	Contact string `json:"contact,omitempty" doc:"how to reach the holder"`
	Message string `json:"message,omitempty"`
}

const (
	deletionLifetime = 180 * day // then a request is forgotten that nobody dealt with
	maxDeletion      = 16 << 10  // bytes of a message
	maxDeletionItems = 256
)

// check refuses what no holder writes.
func (d DeletionRequest) check() error {
	if len(d.Elements) > maxDeletionItems {
		return fmt.Errorf("%w: %d elements, at most %d", ErrInvalid, len(d.Elements), maxDeletionItems)
	}
	for _, text := range append([]string{d.ResponseURI, d.Shared, d.Contact}, d.Elements...) {
		if len(text) > 512 || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%w: a text is longer than 512 bytes or no line", ErrInvalid)
		}
	}
	if len(d.Message) > 4096 || strings.ContainsFunc(d.Message, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }) {
		return fmt.Errorf("%w: the message is longer than 4096 bytes or no text", ErrInvalid)
	}
	if !utf8.ValidString(d.Message) {
		return fmt.Errorf("%w: the message is not UTF-8", ErrInvalid)
	}
	return nil
}

// ParseDeletion reads the message of an app: a JSON object. Error: ErrInvalid.
func ParseDeletion(body []byte) (DeletionRequest, error) {
	var d DeletionRequest
	if err := jose.Unmarshal(body, &d, jose.Limits{Token: maxDeletion, Depth: 3, Members: maxDeletionItems + 8}); err != nil {
		return d, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return d, d.check()
}

// Deletion is a request that waits for the operator.
type Deletion struct {
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	Expires  time.Time `json:"expires" doc:"when it is forgotten if nobody deals with it"`
	DeletionRequest
}

// takeDeletion records a request, once however often it comes, and tells the
// relying party.
func (t *tenant) takeDeletion(ctx context.Context, d DeletionRequest, from []byte) (id string, err error) {
	now := t.v.now()
	id = once.Hash(t.config.ID + "\x00" + string(from))
	sealing, err := t.sealer(ctx)
	if err != nil {
		return "", err
	}
	sealed, err := sealing.seal("deletion", id, d)
	if err != nil {
		return "", err
	}
	err = t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		fresh, err := insertDeletion(ctx, tx, t.config.ID, sealedDeletion{id, now, sealed}, now.Add(deletionLifetime))
		if err != nil || !fresh {
			return err
		}
		if err := t.v.tell(ctx, tx, t.config.ID, EventDeletion, map[string]string{"deletion": id}); err != nil {
			return err
		}
		return t.v.audit.Append(ctx, tx, now, audit.Event{Tenant: t.config.ID, What: "deletion asked for", Object: id})
	})
	if errors.Is(err, errTooManyDeletions) {
		return "", &web.Error{Status: http.StatusServiceUnavailable, Message: "Too many requests wait already. Please contact the relying party another way.", Err: err}
	}
	return id, err
}

// Deletions lists the requests that wait, the oldest first. Error:
// ErrUnknownTenant.
func (v *Verifier) Deletions(ctx context.Context, tenant string, limit int) ([]Deletion, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	var rows []sealedDeletion
	err = v.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = readDeletions(ctx, tx, t.config.ID, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Deletion, len(rows))
	for i, r := range rows {
		list[i] = Deletion{ID: r.id, Received: r.created, Expires: r.created.Add(deletionLifetime)}
		if err := sealing.open("deletion", r.id, r.request, &list[i].DeletionRequest); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// CloseDeletion forgets a request that was dealt with; the books say when.
// Errors: ErrUnknownTenant, ErrUnknownDeletion.
func (v *Verifier) CloseDeletion(ctx context.Context, tenant, id string) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	return v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		there, err := deleteDeletion(ctx, tx, t.config.ID, id)
		if err != nil {
			return err
		}
		if !there {
			return ErrUnknownDeletion
		}
		return v.audit.Append(ctx, tx, v.now(), audit.Event{Tenant: t.config.ID, What: "request to delete closed", Object: id})
	})
}

// serveDeletion takes a request: a JSON message of an app, or our form.
func (t *tenant) serveDeletion(w http.ResponseWriter, r *http.Request) error {
	if err := t.v.guard.Admit(r, t.config.ID, 1); err != nil {
		return err
	}
	body, err := web.ReadBody(w, r, maxDeletion)
	if err != nil {
		return err
	}
	mt, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mt == "application/json" {
		d, err := ParseDeletion(body)
		if err != nil {
			return err
		}
		id, err := t.takeDeletion(r.Context(), d, body)
		if err != nil {
			return err
		}
		web.JSON(w, http.StatusAccepted, struct {
			ID string `json:"id"`
		}{id})
		return nil
	}
	form, err := web.ParseForm(r, body)
	if err != nil {
		return err
	}
	d := DeletionRequest{Shared: form.Get("shared"), Contact: form.Get("contact"), Message: form.Get("message")}
	if err := d.check(); err != nil {
		return err
	}
	if d.Contact == "" {
		return web.Errorf(http.StatusBadRequest, "Please say how you can be reached: without it nobody can make sure that it is you who asks.")
	}
	if _, err := t.takeDeletion(r.Context(), d, body); err != nil {
		return err
	}
	return t.render(w, "Your request has arrived", "deletion.html", struct{ Done bool }{true})
}

// serveDeletionPage is the form.
func (t *tenant) serveDeletionPage(w http.ResponseWriter, _ *http.Request) error {
	return t.render(w, "Ask for your data to be deleted", "deletion.html", struct{ Done bool }{})
}

package verifier

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/rights"
)

// Holders ask the relying party here to delete what they shared: with a form that
// their app opens in a browser, or by a message of the app. The address is the
// support URI in the certificate. It is recorded and told to the operator, who
// has to find out who asks before anything is deleted: who writes here has proved
// nothing.
//
// EUDI TS7 1.0, 2.2 (DATA_DLT_02, _07) and 3; Regulation (EU) 2016/679, Article 17.

// deletionLifetime is when a request is forgotten that nobody dealt with.
const deletionLifetime = 180 * day

// maxDeletion is a message or a form, bytes.
const maxDeletion = 16 << 10

// Deletion is a request that waits for the operator. Everything that a holder
// says in it was written by a stranger.
type Deletion struct {
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	Expires  time.Time `json:"expires" doc:"when it is forgotten if nobody deals with it"`
	DeletionRequest
}

// DeletionRequest is what is kept of a request.
type DeletionRequest struct {
	Shared   string   `json:"shared,omitempty" doc:"when, in the holder's words or RFC 3339"`
	Elements []string `json:"elements,omitempty" doc:"names of what was shared, by the holder's app; none for everything"`
	Contact  string   `json:"contact,omitempty" doc:"how to reach the holder"`
	Message  string   `json:"message,omitempty"`
	// Transaction is the one that it is about, if its answer is still kept, and
	// Proved says that the holder's app has named what it had sent then, which
	// nobody else but us could.
	Transaction string `json:"transaction,omitempty" doc:"number of the transaction that it is about, if its answer is kept"`
	Proved      bool   `json:"proved,omitempty" doc:"the app knows what was sent then: it is the holder's"`
}

// check refuses what no holder writes into the form.
func (d DeletionRequest) check() error {
	text := func(s string, limit int, more string) bool {
		return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune(more, r) })
	}
	switch {
	case d.Contact == "":
		return web.Errorf(http.StatusBadRequest, "Please say how you can be reached: without it nobody can make sure that it is you who asks.")
	case !text(d.Contact, 512, "") || !text(d.Shared, 512, "") || !text(d.Message, 4096, "\n\r\t"):
		return web.Errorf(http.StatusBadRequest, "Please write less: this is too long, or no plain text.")
	}
	return nil
}

// ofMessage is a message of an app, with the transaction that it is about.
func (t *tenant) ofMessage(ctx context.Context, m rights.Deletion) (DeletionRequest, error) {
	d := DeletionRequest{Shared: m.Shared.UTC().Format(time.RFC3339), Elements: m.Elements, Contact: m.Contact, Message: m.Message}
	i := strings.LastIndexByte(m.ResponseURI, '/')
	if i < 0 || !strings.HasPrefix(m.ResponseURI, t.base+"/") {
		return d, nil
	}
	r, err := t.row(ctx, byHandle, m.ResponseURI[i+1:])
	if errors.Is(err, ErrUnknownTransaction) || err == nil && (r.retain == 0 || len(r.result) == 0) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	d.Transaction = r.id
	sealing, err := t.sealer(ctx)
	if err != nil {
		return d, err
	}
	var e Evidence
	if err := sealing.open("evidence", r.id, r.evidence, &e); err != nil {
		return d, err
	}
	for _, p := range e.Presentations {
		for _, one := range p.Presentations {
			d.Proved = d.Proved || slices.Contains(m.Receipts, p.receipt(one))
		}
	}
	return d, nil
}

// receipt is that of a presentation, see rights.Receipt.
func (p Presented) receipt(one string) string {
	if p.Credential == "" { // a DeviceResponse, which was in no vp_token of OpenID4VP 1.0
		if raw, err := jose.Decode(one); err == nil {
			return rights.Receipt(raw)
		}
	}
	return rights.Receipt([]byte(one))
}

// takeDeletion records a request, once however often it comes with the same name,
// and tells the relying party.
func (t *tenant) takeDeletion(ctx context.Context, d DeletionRequest, name string) (id string, err error) {
	now := t.v.now()
	id = once.Hash(t.config.ID + "\x00" + name)
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

// serveDeletion takes a request: a message of an app (rights.Deletion), or our
// form.
func (t *tenant) serveDeletion(w http.ResponseWriter, r *http.Request) error {
	if err := t.v.guard.Admit(r, t.config.ID, 1); err != nil {
		return err
	}
	body, err := web.ReadBody(w, r, maxDeletion)
	if err != nil {
		return err
	}
	if mt, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mt == "application/json" {
		m, err := rights.ParseDeletion(body)
		if err != nil {
			return &web.Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: "This is not the message that is expected here.", Err: err}
		}
		d, err := t.ofMessage(r.Context(), m)
		if err != nil {
			return err
		}
		id, err := t.takeDeletion(r.Context(), d, "app "+m.ID)
		if err != nil {
			return err
		}
		web.WriteFetch(w, rights.Acknowledgement{ID: id}.Reply())
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
	if _, err := t.takeDeletion(r.Context(), d, "form "+string(body)); err != nil {
		return err
	}
	return t.render(w, "Your request has arrived", "deletion.html", struct{ Done bool }{true})
}

// serveDeletionPage is the form.
func (t *tenant) serveDeletionPage(w http.ResponseWriter, _ *http.Request) error {
	return t.render(w, "Ask for your data to be deleted", "deletion.html", struct{ Done bool }{})
}

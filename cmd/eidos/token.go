package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/issuer/admin"
	"github.com/eidos-id/eidos/verifier"
	rpapi "github.com/eidos-id/eidos/verifier/api"
)

// issuerTokenCmd looks after the access tokens of the issuing authority's API.
type issuerTokenCmd struct {
	Create issuerTokenCreateCmd `cmd:"" help:"Make an access token and print it, once."`
	List   tokenListCmd         `cmd:"" help:"List the access tokens."`
	Revoke tokenRevokeCmd       `cmd:"" help:"End an access token."`
}

// verifierTokenCmd looks after those of the verifier's API.
type verifierTokenCmd struct {
	Create verifierTokenCreateCmd `cmd:"" help:"Make an access token and print it, once."`
	List   tokenListCmd           `cmd:"" help:"List the access tokens."`
	Revoke tokenRevokeCmd         `cmd:"" help:"End an access token."`
}

type tokenFlags struct {
	roleFlags
	All bool `name:"all-tenants" help:"For all tenants, and for the metrics, instead of one tenant."`
}

// open opens the tokens of the role that the command begins with, and says of
// which tenant they are.
func (f tokenFlags) open(m *machine, role commandNoun) (tokens *rest.Tokens, tenant string, h *house, err error) {
	if h, err = m.shellHouse(f.Config, f.Data); err != nil {
		return nil, "", nil, err
	}
	if role == roleVerifier {
		var v *verifier.Verifier
		var d *db.DB
		if v, d, err = h.openVerifier(m.ctx, nil); err == nil {
			tokens = rpapi.NewTokens(d, v.Books())
			if !f.All {
				err = v.CheckTenant(f.Tenant)
			}
		}
	} else {
		var a *issuer.Authority
		var d *db.DB
		if a, _, d, err = h.openIssuer(m.ctx); err == nil {
			tokens = admin.NewTokens(d, a.Books())
			if !f.All {
				_, err = a.Offerings(f.Tenant) // whether there is such a tenant
			}
		}
	}
	if err != nil {
		return nil, "", nil, errors.Join(err, h.close())
	}
	tenant = f.Tenant
	if f.All {
		tenant = rest.AllTenants
	}
	return tokens, tenant, h, nil
}

// tokenCreateFlags are those of every role.
type tokenCreateFlags struct {
	tokenFlags
	Name     string        `required:"" help:"Who has it, for the list."`
	Lifetime time.Duration `default:"2160h" help:"How long; 90 days if not said, at most 3 years."`
	JSON     bool          `help:"Print the token as JSON."`
}

type issuerTokenCreateCmd struct {
	tokenCreateFlags
	Scope []string `required:"" enum:"read,issue,revoke,admin" help:"What it is good for: read, issue, revoke, admin (webhooks). None includes another."`
}

// Run makes the token.
func (c *issuerTokenCreateCmd) Run(m *machine) error { return c.create(m, roleIssuer, c.Scope) }

type verifierTokenCreateCmd struct {
	tokenCreateFlags
	Scope []string `required:"" enum:"read,ask,data,admin" help:"What it is good for: read (states and reports), ask (begin, read answers, delete), data (answers that are kept, requests to delete), admin (webhooks). None includes another."`
}

// Run makes the token.
func (c *verifierTokenCreateCmd) Run(m *machine) error { return c.create(m, roleVerifier, c.Scope) }

func (c *tokenCreateFlags) create(m *machine, role commandNoun, scopes []string) error {
	tokens, tenant, h, err := c.open(m, role)
	if err != nil {
		return err
	}
	defer h.close()
	t := rest.Token{Tenant: tenant, Name: c.Name, Expires: m.now().Add(c.Lifetime)}
	for _, s := range scopes {
		t.Scopes = append(t.Scopes, rest.Scope(s))
	}
	t, text, err := tokens.Create(m.ctx, t, m.now())
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(struct {
			ID      string    `json:"id"`
			Token   string    `json:"token"`
			Expires time.Time `json:"expires"`
		}{t.ID, text, t.Expires.UTC()})
	}
	fmt.Fprintln(m.out, text)
	fmt.Fprintf(m.err, "eidos: note: token %s, shown once; it ends on %s\n", t.ID, t.Expires.Local().Format(time.DateOnly))
	return nil
}

type tokenListCmd struct {
	tokenFlags
	JSON bool `help:"Print the list as JSON."`
}

// Run lists tokens.
func (c *tokenListCmd) Run(m *machine, role commandNoun) error {
	tokens, tenant, h, err := c.open(m, role)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := tokens.List(m.ctx, tenant)
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []rest.Token{}
		}
		return m.json(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(m.out, "no tokens")
	}
	for _, t := range list {
		state := "valid"
		switch {
		case !t.Revoked.IsZero():
			state = "revoked"
		case !t.Valid(m.now()):
			state = "expired"
		}
		scopes := make([]string, len(t.Scopes))
		for i, s := range t.Scopes {
			scopes[i] = string(s)
		}
		fmt.Fprintf(m.out, "%s  %-8s until %s  %-24s %s\n", t.ID, state, t.Expires.Format(time.DateOnly), strings.Join(scopes, ","), t.Name)
	}
	return nil
}

type tokenRevokeCmd struct {
	tokenFlags
	resultFlag
	ID string `arg:"" help:"As token list shows it."`
}

// Run revokes a token.
func (c *tokenRevokeCmd) Run(m *machine, role commandNoun) error {
	tokens, tenant, h, err := c.open(m, role)
	if err != nil {
		return err
	}
	defer h.close()
	if err := tokens.Revoke(m.ctx, tenant, c.ID, m.now()); errors.Is(err, rest.ErrUnknownToken) {
		return hint(err, "eidos %s token list; with --all-tenants for those of all tenants", role)
	} else if err != nil {
		return err
	}
	return c.say(m, map[string]string{"revoked": c.ID}, "revoked %s; it opens nothing any more", c.ID)
}

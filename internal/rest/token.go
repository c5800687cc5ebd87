package rest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/record"
)

// Scope is what a token is good for. None includes another.
type Scope string

// AllTenants as the tenant of a token opens all of them, and what belongs to
// none, such as the metrics.
const AllTenants = ""

// Token is what is stored of a bearer token: not the token.
type Token struct {
	ID      string    `json:"id"`
	Tenant  string    `json:"tenant"` // AllTenants, or the only one that it opens
	Name    string    `json:"name"`   // for people: who has it
	Scopes  []Scope   `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Revoked time.Time `json:"revoked,omitzero"`
	Hash    []byte    `json:"hash,omitempty"` // SHA-256 of the secret
}

// Valid reports whether the token opens anything at a time.
func (t Token) Valid(now time.Time) bool { return t.Revoked.IsZero() && now.Before(t.Expires) }

// Opens reports whether the token is for a tenant.
func (t Token) Opens(tenant string) bool { return t.Tenant == AllTenants || t.Tenant == tenant }

// endAt ends a token that was made before the database was restored, at epoch:
// what was revoked after the backup would open again.
func (t *Token) endAt(epoch int64) {
	if epoch > t.Created.UnixMilli() && t.Revoked.IsZero() {
		t.Revoked = time.UnixMilli(epoch).UTC()
	}
}

// Errors of Tokens. Test with errors.Is.
var (
	ErrToken        = errors.New("rest: token not valid")
	ErrUnknownToken = errors.New("rest: no such token")
)

const (
	everyTenant   = "~" // in the text of a token
	secretBytes   = 32
	maxTokens     = 200 // of a tenant, those that ended too
	firstLifetime = 90 * 24 * time.Hour
	maxLifetime   = 3 * 365 * 24 * time.Hour
)

// TokenRules say what the tokens of an API are like.
type TokenRules struct {
	API    string  // name of the API; part of what is stored, so it never changes
	Prefix string  // the text of each token begins with it
	House  string  // tenant under which those for all tenants are stored
	Scopes []Scope // all there are
}

// Tokens are the bearer tokens of an API, RFC 6750. A token reads
// "PREFIX.TENANT.ID.SECRET", with "~" for all tenants; only the hash of the
// secret is stored. It may be used concurrently; several processes may share a
// database.
type Tokens struct {
	rules   TokenRules
	records record.Store
	books   *audit.Process
	db      *db.DB
}

// NewTokens returns the tokens in a role's database. books is told of each that
// is made or revoked.
func NewTokens(d *db.DB, books *audit.Process, rules TokenRules) *Tokens {
	return &Tokens{rules: rules, records: d.Records(), books: books, db: d}
}

// kind is that of the records of tokens.
func (s *Tokens) kind() string { return s.rules.API + " token" }

// shelf is the tenant under which a token is stored.
func (s *Tokens) shelf(tenant string) string {
	if tenant == AllTenants {
		return s.rules.House
	}
	return tenant
}

// Create makes a token and returns its text, which is stored nowhere. t says
// tenant, name, scopes and end.
func (s *Tokens) Create(ctx context.Context, t Token, now time.Time) (Token, string, error) {
	t, text, err := s.make(t, now)
	if err != nil {
		return t, "", err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error { return s.put(ctx, tx, t, now) })
	return t, text, err
}

// First makes a token for everything if there was never one for all tenants; it
// returns "" if there was. It ends after 90 days.
func (s *Tokens) First(ctx context.Context, now time.Time) (text string, err error) {
	t, made, err := s.make(Token{Name: "first start", Scopes: s.rules.Scopes, Expires: now.Add(firstLifetime)}, now)
	if err != nil {
		return "", err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		text = ""
		there, err := tx.Records(s.rules.House).List(ctx, s.kind())
		if err != nil || len(there) > 0 {
			return err
		}
		text = made
		return s.put(ctx, tx, t, now)
	})
	return text, err
}

// make draws the secret of a token.
func (s *Tokens) make(t Token, now time.Time) (Token, string, error) {
	switch {
	case t.Tenant != AllTenants && !conf.IsTenant(t.Tenant):
		return t, "", fmt.Errorf("rest: tenant %.40q of a token", t.Tenant)
	case t.Name == "" || len(t.Name) > 64:
		return t, "", errors.New("rest: the name of a token has 1 to 64 bytes")
	case len(t.Scopes) == 0:
		return t, "", errors.New("rest: a token without scopes opens nothing")
	case !t.Expires.After(now) || t.Expires.After(now.Add(maxLifetime)):
		return t, "", errors.New("rest: a token ends within 3 years")
	}
	for i, sc := range t.Scopes {
		if !slices.Contains(s.rules.Scopes, sc) || slices.Contains(t.Scopes[:i], sc) {
			return t, "", fmt.Errorf("rest: scope %.20q is unknown or given twice", sc)
		}
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	sum := sha256.Sum256(secret)
	t.ID, t.Created, t.Revoked, t.Hash = rand.Text()[:12], now.UTC(), time.Time{}, sum[:]
	return t, s.text(t.Tenant, t.ID, secret), nil
}

// text is a token as its holder has it.
func (s *Tokens) text(tenant, id string, secret []byte) string {
	if tenant == AllTenants {
		tenant = everyTenant
	}
	return strings.Join([]string{s.rules.Prefix, tenant, id, base64.RawURLEncoding.EncodeToString(secret)}, ".")
}

func (s *Tokens) put(ctx context.Context, tx *db.Tx, t Token, now time.Time) error {
	records := tx.Records(s.shelf(t.Tenant))
	there, err := records.List(ctx, s.kind())
	if err != nil {
		return err
	}
	if len(there) >= maxTokens {
		return fmt.Errorf("rest: there are %d tokens already; at most %d, those that ended too", len(there), maxTokens)
	}
	if err := record.Put(ctx, records, s.kind(), t.ID, t); err != nil {
		return err
	}
	return s.books.Append(ctx, tx, now, audit.Event{Tenant: t.Tenant, What: "access token made", Object: t.ID,
		Detail: map[string]string{"scopes": fmt.Sprint(t.Scopes), "expires": t.Expires.UTC().Format(time.RFC3339)}})
}

// List returns the tokens of a tenant, or those of AllTenants, the newest first,
// without hashes.
func (s *Tokens) List(ctx context.Context, tenant string) (list []Token, err error) {
	err = s.records.View(ctx, s.shelf(tenant), func(ctx context.Context, tx record.Tx) (err error) {
		list, err = record.All[Token](ctx, tx, s.kind())
		for i := range list {
			list[i].Hash = nil
			list[i].endAt(tx.Epoch())
		}
		return err
	})
	slices.SortFunc(list, func(a, b Token) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return list, err
}

// Revoke ends a token; one that has ended is no error. Error: ErrUnknownToken.
func (s *Tokens) Revoke(ctx context.Context, tenant, id string, now time.Time) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		records := tx.Records(s.shelf(tenant))
		t, err := record.Get[Token](ctx, records, s.kind(), id)
		if errors.Is(err, record.ErrNotFound) {
			return ErrUnknownToken
		}
		if err != nil || !t.Revoked.IsZero() {
			return err
		}
		t.Revoked = now.UTC()
		if err := record.Put(ctx, records, s.kind(), id, t); err != nil {
			return err
		}
		return s.books.Append(ctx, tx, now, audit.Event{Tenant: t.Tenant, What: "access token revoked", Object: id})
	})
}

// Find returns the token of a text, if it is one of ours and has not ended.
// Error: ErrToken, which does not say more.
func (s *Tokens) Find(ctx context.Context, text string, now time.Time) (Token, error) {
	tenant, id, secret, ok := s.parse(text)
	if !ok {
		return Token{}, ErrToken
	}
	t, err := s.byID(ctx, tenant, id)
	if err != nil {
		return Token{}, err
	}
	sum := sha256.Sum256(secret)
	if subtle.ConstantTimeCompare(sum[:], t.Hash) != 1 || !t.Valid(now) {
		return Token{}, ErrToken
	}
	return t, nil
}

// byID reads a token; one that is not there has no hash, and is not valid.
func (s *Tokens) byID(ctx context.Context, tenant, id string) (Token, error) {
	var t Token
	err := s.db.ViewOne(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		records := tx.Records(s.shelf(tenant))
		t, err = record.Get[Token](ctx, records, s.kind(), id)
		t.endAt(records.Epoch())
		return err
	})
	if errors.Is(err, record.ErrNotFound) {
		return Token{}, nil
	}
	return t, err
}

// Still returns a token that was presented before, if it has not ended since.
// Error: ErrToken.
func (s *Tokens) Still(ctx context.Context, tenant, id string, now time.Time) (Token, error) {
	t, err := s.byID(ctx, tenant, id)
	if err == nil && !t.Valid(now) {
		err = ErrToken
	}
	return t, err
}

// parse takes the text of a token apart.
func (s *Tokens) parse(text string) (tenant, id string, secret []byte, ok bool) {
	if len(text) > 128 {
		return "", "", nil, false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 || parts[0] != s.rules.Prefix || len(parts[2]) != 12 {
		return "", "", nil, false
	}
	tenant = parts[1]
	if tenant == everyTenant {
		tenant = AllTenants
	} else if !conf.IsTenant(tenant) {
		return "", "", nil, false
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(parts[3])
	// The decoder passes over line breaks: what is not written so is no token.
	return tenant, parts[2], secret, err == nil && len(secret) == secretBytes && s.text(tenant, parts[2], secret) == text
}

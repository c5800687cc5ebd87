package issuer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// code returns the error code of a refusal.
func code(err error) string {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*oid4vci.Error](err); ok {
		return e.Code
	}
	return ""
}

func wantCode(t *testing.T, what string, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("%s: %q (%v), want %q", what, got, err, want)
	}
}

func TestOffersRefused(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	for name, c := range map[string]struct {
		tenant string
		p      OfferParams
		want   error
	}{
		"tenant":   {"other", OfferParams{Offerings: []string{"mdl"}, Subject: "ada", TxCode: true}, ErrUnknownTenant},
		"offering": {"default", OfferParams{Offerings: []string{"passport"}, Subject: "ada", TxCode: true}, ErrUnknownOffering},
		"person":   {"default", OfferParams{Offerings: []string{"mdl"}, Subject: "nobody", TxCode: true}, ErrUnknownPerson},
		"twice":    {"default", OfferParams{Offerings: []string{"mdl", "mdl"}, Subject: "ada", TxCode: true}, ErrInvalid},
		"no PIN":   {"default", OfferParams{Offerings: []string{"mdl"}, Subject: "ada"}, ErrInvalid},
		"expired":  {"default", OfferParams{Offerings: []string{"mdl"}, Subject: "ada", TxCode: true, Expires: w.Now()}, ErrInvalid},
	} {
		if _, err := w.authority.Offer(t.Context(), c.tenant, c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// The day of death is the last column.
	register, err := os.ReadFile(w.registerFile())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(register), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "rosa,") {
			lines[i] += "2026-11-20"
		}
	}
	if err := os.WriteFile(w.registerFile(), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.authority.Offer(t.Context(), "default", OfferParams{Offerings: []string{"mdl"}, Subject: "rosa", TxCode: true}); !errors.Is(err, ErrDeceased) {
		t.Errorf("deceased: %v", err)
	}
}

func TestPIN(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, o := w.newApp(w.authority), w.offer("ada", "mdl")
	wrong := "000000"
	if o.TxCode == wrong {
		wrong = "000001"
	}
	for range oauth.MaxTries {
		_, _, err := p.redeem(o, wrong)
		wantCode(t, "wrong PIN", err, oauth.CodeInvalidGrant)
	}
	_, _, err := p.redeem(o, o.TxCode)
	wantCode(t, "sixth try, with the right PIN", err, oauth.CodeInvalidGrant)
}

func TestExpiredOffer(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	o := w.offer("ada", "mdl")
	p := w.newApp(w.authority)
	offer, err := oid4vci.ReadOffer(t.Context(), p.fetch, o.Link)
	if err != nil {
		t.Fatal(err)
	}
	w.Pass(25 * time.Hour)
	p = w.newApp(w.authority)
	if _, err := oid4vci.ReadOffer(t.Context(), p.fetch, o.Link); err == nil || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("an expired offer: %v", err)
	}
	_, err = p.oauth.RedeemPreAuthorized(t.Context(), offer.PreAuthorized.Code, o.TxCode, nil, w.Now())
	wantCode(t, "expired offer", err, oauth.CodeInvalidGrant)
}

func TestCredentialRefused(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	ctx := t.Context()
	p, o := w.newApp(w.authority), w.offer("ada", "mdl")
	token, offer, err := p.redeem(o, o.TxCode)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.newApp(w.authority).oauth.RedeemPreAuthorized(ctx, offer.PreAuthorized.Code, o.TxCode, nil, w.Now())
	wantCode(t, "offer used by another app", err, oauth.CodeInvalidGrant)

	c := &oid4vci.Client{Metadata: p.metadata, OAuth: p.oauth, Token: token}
	nonce, err := c.Nonce(ctx)
	if err != nil {
		t.Fatal(err)
	}
	signers, attested := p.keys(2, nonce)
	if _, err := c.Request(ctx, "mdl", signers, nonce, attested, w.Now()); err != nil {
		t.Fatal(err)
	}
	_, err = c.Request(ctx, "mdl", signers, nonce, attested, w.Now())
	wantCode(t, "nonce used twice", err, oid4vci.CodeInvalidNonce)
	_, err = p.oauth.RedeemPreAuthorized(ctx, offer.PreAuthorized.Code, o.TxCode, nil, w.Now())
	wantCode(t, "offer used twice", err, oauth.CodeInvalidGrant)

	nonce, _ = c.Nonce(ctx)
	signers, _ = p.keys(2, nonce)
	if _, err = c.Request(ctx, "mdl", signers, nonce, "", w.Now()); code(err) != oid4vci.CodeInvalidProof {
		t.Errorf("no key attestation: %v", err)
	}
	_, _, err = p.get(token, "pid", 1)
	wantCode(t, "not granted", err, oid4vci.CodeUnknownConfiguration)
	p.metadata.Batch.Size = 20 // so that our own client lets it through
	_, _, err = p.get(token, "mdl", 11)
	wantCode(t, "too many", err, oid4vci.CodeInvalidProof)

	thief := w.newApp(w.authority)
	_, _, err = thief.get(token, "mdl", 1)
	if err == nil || !strings.Contains(err.Error(), "401") && code(err) != oauth.CodeInvalidToken {
		t.Errorf("token with another DPoP key: %v", err)
	}

	for range w.authority.config.BatchesPerDay - 1 {
		if _, _, err := p.get(token, "mdl", 1); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = p.get(token, "mdl", 1)
	wantCode(t, "more batches than a day is good for", err, oid4vci.CodeDenied)

	w.Pass(16 * time.Minute)
	if _, _, err = p.get(token, "mdl", 1); err == nil {
		t.Error("an expired token was taken")
	}
}

func TestStatusEndsTooSoon(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, token := w.accept("ada", "mdl")
	p.ends = w.Now().Add(3 * time.Hour) // of the keys
	_, _, err := p.get(token, "mdl", 1)
	wantCode(t, "key status ends today", err, oid4vci.CodeDenied)
	p.ends = w.Now().Add(4 * day)
	list, signers, err := p.get(token, "mdl", 1)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := w.verify(list[0], signers)
	if want := w.Now().Truncate(day).Add(4 * day); !d.Validity.ValidUntil.Equal(want) {
		t.Errorf("valid until %v, want %v", d.Validity.ValidUntil, want)
	}
}

func TestUntrustedProvider(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	o := w.offer("ada", "mdl")
	p := w.newApp(w.authority)
	w.makeProvider() // the trust list has another one now
	_, _, err := p.redeem(o, o.TxCode)
	wantCode(t, "wallet of an unknown provider", err, oauth.CodeInvalidClient)
}

func TestNewProvider(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, o := w.newApp(w.authority), w.offer("ada", "mdl")
	w.unlisted = true
	token, _, err := p.redeem(o, o.TxCode)
	if err != nil {
		t.Fatalf("provider that was listed a moment ago: %v", err)
	}
	if _, _, err := p.get(token, "mdl", 1); err != nil {
		t.Error(err)
	}
}

func TestLevel(t *testing.T) {
	for name, c := range map[string]struct {
		a    *attestation.KeyAttestation
		want assure.Level
	}{
		"none":             {nil, ""},
		"states nothing":   {&attestation.KeyAttestation{Attester: attestation.Attester{Level: attestation.LevelHigh}}, assure.Low},
		"believed low":     {&attestation.KeyAttestation{KeyStorage: []string{attestation.ResistanceHigh}, UserAuthentication: []string{attestation.ResistanceHigh}}, assure.Low},
		"no user presence": {&attestation.KeyAttestation{KeyStorage: []string{attestation.ResistanceHigh}, Attester: attestation.Attester{Level: attestation.LevelHigh}}, assure.Low},
		"high": {&attestation.KeyAttestation{KeyStorage: []string{attestation.ResistanceHigh}, UserAuthentication: []string{attestation.ResistanceHigh},
			Attester: attestation.Attester{Level: attestation.LevelHigh}}, assure.High},
	} {
		if got := levelOf(c.a); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if p := new(tenant).policyOf(offering.Offering{Level: offering.High}); len(p.Types[oid4vci.ProofJWT].KeyAttestations.KeyStorage) != 1 {
		t.Errorf("policy of a high offering: %+v", p)
	}
}

func TestConfig(t *testing.T) {
	tenant := DemoTenant()
	for name, c := range map[string]Config{
		"plain http":      {URL: "http://issuer.example", Tenants: []Tenant{tenant}},
		"path":            {URL: "https://issuer.example/x", Tenants: []Tenant{tenant}},
		"demo elsewhere":  {URL: "https://issuer.example"},
		"demo clients":    {URL: "https://issuer.example", Tenants: []Tenant{tenant}},
		"country":         {Tenants: []Tenant{{ID: "a", Name: "A", Country: "ut", Source: "x"}}},
		"tenant twice":    {Tenants: []Tenant{tenant, tenant}},
		"ttl":             {StatusTTL: 48 * time.Hour},
		"unknown doctype": {Tenants: []Tenant{{ID: "a", Name: "A", Country: "UT", Source: "x", Offerings: []offering.Offering{{DocType: "none"}}}}},
		"redirect":        {Tenants: []Tenant{{ID: "a", Name: "A", Country: "UT", Source: "x", Clients: []Client{{ID: "c", RedirectURIs: []string{"http://far.example/"}}}}}},
	} {
		if err := c.Check(); err == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
	if err := (Config{}).Check(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
}

// A register that holds something unfit for a document leads to no document,
// and to a word to the operator: which element, and nothing of the person.
func TestUnfitRegister(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, w *world)
		says  string
	}{
		"portrait is a PNG": {func(t *testing.T, w *world) {
			png := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
			if err := os.WriteFile(filepath.Join(w.register, "people", "ada.jpg"), png, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "portrait"},
		"portrait is missing": {func(t *testing.T, w *world) {
			if err := os.Remove(filepath.Join(w.register, "people", "ada.jpg")); err != nil {
				t.Fatal(err)
			}
		}, "portrait"},
		"birth date lies in the future": {func(t *testing.T, w *world) {
			w.changeRow(t, "ada", func(row string) string { return strings.Replace(row, "1984-03-17", "2184-03-17", 1) })
		}, "date of birth"},
		"family name is empty": {func(t *testing.T, w *world) {
			w.changeRow(t, "ada", func(row string) string { return strings.Replace(row, "ada,Sommerfeld,", "ada,,", 1) })
		}, "family_name"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, testkit.SQLite(t))
			p, token := w.accept("ada", "mdl")
			c.spoil(t, w)
			p.fetch = via(w.authority)
			p.oauth.Fetch = p.fetch
			_, _, err := p.get(token, "mdl", 1)
			wantCode(t, name, err, oid4vci.CodeDenied)
			if list, err := w.authority.List(t.Context(), "default", Filter{}); err != nil || len(list) != 0 {
				t.Errorf("%+v, %v", list, err)
			}
			var warned bool
			for _, line := range strings.Split(w.log.String(), "\n") {
				warned = warned || strings.Contains(line, `"level":"WARN"`) && strings.Contains(line, c.says)
			}
			if !warned {
				t.Errorf("the operator is not told:\n%s", w.log)
			}
			for _, secret := range []string{"Sommerfeld", "ada.jpg", "84-03-17"} {
				if strings.Contains(w.log.String(), secret) {
					t.Errorf("the log holds %q", secret)
				}
			}
		})
	}
}

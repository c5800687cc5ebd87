package trustlist

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
)

// TypeAnchors is the typ of our signed list of anchors. No standard defines
// it; docs/divergences.md says why it exists.
const TypeAnchors = "eidos-anchors+jwt"

// MediaTypeAnchors is the content type of the published list.
const MediaTypeAnchors = "application/" + TypeAnchors

const clauseAnchors = "eidos list of anchors (docs/divergences.md)"

// List is our list of anchors by purpose: the claims of a JWT.
//
//	{ "iss": …, "iat": …, "exp": …, "sequence": 7, "entries": [ { "purpose": "reader", "certificate": … } ] }
type List struct {
	Issuer   string           `json:"iss"`
	IssuedAt jose.NumericDate `json:"iat"`
	Expires  jose.NumericDate `json:"exp"`

	// Sequence grows with every issue, so that an older list is noticed.
	Sequence uint64  `json:"sequence"`
	Entries  []Entry `json:"entries"`

	token *jose.Token
}

// Entry is one anchor.
type Entry struct {
	Purpose       Purpose  `json:"purpose"`
	Certificate   []byte   `json:"certificate"` // DER, base64 in JSON
	Name          string   `json:"name,omitempty"`
	Country       string   `json:"country,omitempty"`
	DocTypes      []string `json:"doctypes,omitempty"`       // that documents under it may have; none means any
	LoA           string   `json:"loa,omitempty"`            // low, substantial or high
	StatusService string   `json:"status_service,omitempty"` // where the CA publishes revocation

	// Exact trusts this very certificate as a signer, not what it issued.
	Exact bool `json:"exact,omitempty"`

	parsed  *x509.Certificate
	problem string
}

// Parsed is the certificate of an entry of a parsed list; nil if it could not
// be read or the purpose is not known here, then problem says why.
func (e *Entry) Parsed() (cert *x509.Certificate, problem string) { return e.parsed, e.problem }

// BuildList signs a list. chain is the signer's certificate and those of the
// CAs above it but the root; it goes into x5c.
func BuildList(ctx context.Context, l List, chain []*x509.Certificate, signer key.Signer) (string, error) {
	switch {
	case l.Issuer == "" || l.IssuedAt == 0 || l.Sequence == 0 || len(chain) == 0 || len(l.Entries) > maxEntries:
		return "", fmt.Errorf("%w: issuer, time, sequence or signer certificate missing, or over %d entries", ErrContent, maxEntries)
	case l.Expires <= l.IssuedAt:
		return "", fmt.Errorf("%w: exp not after iat", ErrContent)
	case !key.Equal(chain[0].PublicKey, signer.Public()):
		return "", fmt.Errorf("%w: the first certificate is not the signer's", ErrContent)
	}
	for i := range l.Entries {
		e := l.Entries[i]
		if e.parse(); e.problem != "" {
			return "", fmt.Errorf("%w: entry %d: %s", ErrContent, i, e.problem)
		}
	}
	if l.Entries == nil {
		l.Entries = []Entry{}
	}
	token, err := jose.Sign(ctx, signer, jose.Header{Typ: TypeAnchors, X5C: ders(chain)}, l)
	if err != nil {
		return "", fmt.Errorf("list of anchors: %w", err)
	}
	return token, nil
}

func (e *Entry) parse() {
	cert, err := pki.ParseCertificate(e.Certificate)
	switch {
	case !e.Purpose.Known():
		e.problem = fmt.Sprintf("purpose %.32q is not known here", e.Purpose)
	case err != nil:
		e.problem = err.Error()
	default:
		e.parsed = cert
	}
}

// ParseList reads a list of at most 4 MiB and 4096 entries. The error is ErrMalformed.
func ParseList(token string) (*List, error) {
	t, err := jose.Parse(token, jose.Limits{Token: 4 << 20})
	if err != nil {
		return nil, fmt.Errorf("%w: list of anchors: %w", ErrMalformed, err)
	}
	if !t.Header.HasType(TypeAnchors) {
		return nil, fmt.Errorf("%w: typ %.64q, not %s", ErrMalformed, t.Header.Typ, TypeAnchors)
	}
	l := &List{token: t}
	if err := t.Claims(l); err != nil {
		return nil, fmt.Errorf("%w: list of anchors: %w", ErrMalformed, err)
	}
	if l.Issuer == "" || l.IssuedAt == 0 || l.Expires == 0 || l.Sequence == 0 || len(l.Entries) > maxEntries {
		return nil, fmt.Errorf("%w: list of anchors: iss, iat, exp or sequence missing, or over %d entries", ErrMalformed, maxEntries)
	}
	for i := range l.Entries {
		l.Entries[i].parse()
	}
	return l, nil
}

// Verify says whether the list may be used: the signer's chain, the signature
// and the dates. Entries of unknown purpose or with unreadable certificates
// warn and are to be passed over.
func (l *List) Verify(o VerifyOptions) check.Report {
	var r check.Report
	if l.token == nil {
		r.Fail("signature", clauseAnchors, "the list was not parsed but built", "parse it")
		return r
	}
	if path, ok := o.chain(&r, l.token.Header.X5C, pki.TrustListSigner); ok {
		if err := l.token.Verify(path.Signer.Key); err != nil {
			r.Fail("signature", clauseAnchors, err.Error(), "the list was changed after it was signed; fetch it again")
		} else {
			r.Pass("signature", clauseAnchors, l.token.Header.Alg)
		}
	} else {
		r.Skip("signature", clauseAnchors, "the signer is not trusted, see its chain")
	}
	times := jose.Times{IssuedAt: l.IssuedAt, Expires: l.Expires}
	switch err := times.Check(o.Now, clockSkew); {
	case errors.Is(err, jose.ErrExpired):
		r.Fail("dates", "RFC 7519, 4.1.4", err.Error(), "fetch a newer list")
	case err != nil:
		r.Fail("dates", "RFC 7519, 4.1.6", err.Error(), "the list is from the future; check the clock")
	default:
		r.Pass("dates", "RFC 7519, 4.1.4", "until "+l.Expires.Time().Format(time.RFC3339))
	}
	if l.Sequence < o.After {
		r.Fail("sequence", clauseAnchors, fmt.Sprintf("number %d, after %d", l.Sequence, o.After), "an older list came back; fetch it from its publisher")
	} else {
		r.Pass("sequence", clauseAnchors, fmt.Sprintf("number %d", l.Sequence))
	}
	usable := 0
	for i := range l.Entries {
		if l.Entries[i].parsed == nil {
			r.Warn(fmt.Sprintf("entry %d", i), clauseAnchors, l.Entries[i].problem, "what stands under it cannot be verified here")
			continue
		}
		usable++
	}
	r.Pass("entries", clauseAnchors, fmt.Sprintf("%d of %d usable", usable, len(l.Entries)))
	return r
}

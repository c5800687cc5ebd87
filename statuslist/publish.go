package statuslist

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Edition is what to publish of one list.
type Edition struct {
	URI            string       // of the list, as documents refer to it
	List           *status.List // not for identifier lists
	Now            time.Time
	Lifetime       time.Duration // until exp; at least a second
	TTL            time.Duration // how long readers keep a copy; optional, at most Lifetime
	AggregationURI string        // optional

	// X5Chain is the chain of the signer's key, DER, leaf first, without the
	// trust anchor.
	X5Chain [][]byte
	KeyID   string // optional
}

// Published is a status list as JWT and CWT, or an identifier list, which only
// has a CWT. It is ready to be served until Expires and is not changed any more.
type Published struct {
	JWT, CWT       []byte
	JWTTag, CWTTag string // ETags, quoted
	Identifiers    bool   `json:",omitempty"` // it is an identifier list
	Issued         time.Time
	Expires        time.Time
	TTL            time.Duration
}

// MaxAge is how long caches may keep what is served now: until readers ask
// again or the token expires, whichever is sooner.
func (p *Published) MaxAge(now time.Time) time.Duration {
	rest := max(0, p.Expires.Sub(now))
	if p.TTL > 0 {
		return min(p.TTL, rest)
	}
	return rest
}

// Publish compresses a list once and signs it as JWT and as CWT.
//
// Token Status List, 5.1, 5.2 and 13.7.
func Publish(ctx context.Context, signer key.Signer, e Edition) (*Published, error) {
	claims, headers, err := e.prepare()
	if err != nil {
		return nil, err
	}
	if e.List == nil {
		return nil, fmt.Errorf("publish %s: no list", e.URI)
	}
	compressed, err := e.List.Compress()
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", e.URI, err)
	}
	compressed.AggregationURI = e.AggregationURI
	p := &Published{Issued: claims.Issued, Expires: claims.Expires, TTL: e.TTL}
	if p.JWT, err = status.SignJWT(ctx, signer, headers, claims, compressed); err != nil {
		return nil, fmt.Errorf("publish %s: %w", e.URI, err)
	}
	if p.CWT, err = status.SignCWT(ctx, signer, headers, claims, compressed); err != nil {
		return nil, fmt.Errorf("publish %s: %w", e.URI, err)
	}
	p.JWTTag, p.CWTTag = entityTag(p.JWT), entityTag(p.CWT)
	return p, nil
}

// PublishIdentifiers signs the identifiers of revoked documents.
//
// ISO/IEC 18013-5 second edition (draft v4), 12.3.6.
func PublishIdentifiers(ctx context.Context, signer key.Signer, e Edition, ids [][]byte) (*Published, error) {
	claims, headers, err := e.prepare()
	if err != nil {
		return nil, err
	}
	p := &Published{Identifiers: true, Issued: claims.Issued, Expires: claims.Expires, TTL: e.TTL}
	if p.CWT, err = status.SignIdentifiersCWT(ctx, signer, headers, claims, ids, e.AggregationURI); err != nil {
		return nil, fmt.Errorf("publish %s: %w", e.URI, err)
	}
	p.CWTTag = entityTag(p.CWT)
	return p, nil
}

func (e Edition) prepare() (status.Claims, status.Headers, error) {
	if e.Lifetime < time.Second || e.TTL < 0 || e.TTL > e.Lifetime {
		return status.Claims{}, status.Headers{}, fmt.Errorf("publish %s: lifetime %v with ttl %v", e.URI, e.Lifetime, e.TTL)
	}
	issued := e.Now.Truncate(time.Second)
	return status.Claims{URI: e.URI, Issued: issued, Expires: issued.Add(e.Lifetime), TTL: e.TTL},
		status.Headers{X5Chain: e.X5Chain, KeyID: e.KeyID}, nil
}

// entityTag is a strong ETag of the bytes.
//
// RFC 9110, 8.8.3.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// Choose picks the format that an Accept header asks for, the JWT if it does
// not care. ok is false if it wants none that there is; the answer is then 406.
//
// Token Status List, 8.1; RFC 9110, 12.5.1.
func (p *Published) Choose(accept string) (mediaType string, body []byte, etag string, ok bool) {
	offered := []string{status.MediaListJWT, status.MediaListCWT}
	if p.Identifiers {
		offered = []string{status.MediaIdentifiersCWT}
	}
	switch mediaType = fetch.Prefer(accept, offered...); mediaType {
	case "":
		return "", nil, "", false
	case status.MediaListJWT:
		return mediaType, p.JWT, p.JWTTag, true
	default:
		return mediaType, p.CWT, p.CWTTag, true
	}
}

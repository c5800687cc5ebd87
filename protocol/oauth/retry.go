package oauth

import (
	"context"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/once"
)

// keepRetry remembers by whom a pre-authorized code was redeemed, so that the
// same wallet can repeat a token request of which the answer was lost.
//
// A pre-authorized code is for a single use (OpenID4VCI 1.0, 4.1.1), and if the
// server or the network fails between the commit and the answer, that use has
// happened and nobody has a token: the person would have to ask for another
// offer. So the exchange counts as not finished until its token, or its refresh
// token, is used for the first time. Until then, and no longer than the first
// token would have lived, the code may be redeemed again by who redeemed it:
// the same client, the same attested instance, the same DPoP key, the same
// transaction code, with fresh proofs. The first grant ends with all of its
// tokens, so that of all exchanges one grant is alive at any time, and a grant
// under which something was issued is never replaced.
//
// Nobody gains by it. Who has seen the code, even with its transaction code,
// lacks the keys of the wallet that redeemed it; who holds these keys could use
// the first token. Such a stranger's trying changes nothing, also not for the
// holder: bystanders see offers, so that a second use is no sign that the first
// token is in wrong hands. A grant that was revoked does not come back. It is
// other with authorisation codes, for which RFC 6749, 4.1.2 demands that a
// second use be denied: there, the client starts again in the browser.
func (s *Server) keepRetry(ctx context.Context, st once.Store, a authorized, g Grant, now time.Time) error {
	if a.Grant == "" { // else it is a repetition, and ends when the first would have
		a.Expires = now.Add(s.config.TokenLifetime)
	}
	a.Client, a.Thumbprint, a.Instance, a.Grant = g.ClientID, g.Thumbprint, g.Instance.thumbprint(), g.ID
	value, err := record(a)
	if err == nil {
		err = st.Put(ctx, kindRetry, g.Offer, value, a.Expires)
	}
	if err != nil {
		return fmt.Errorf("oauth: keep who redeemed an offer: %w", err)
	}
	return nil
}

// redeemAgain redeems a pre-authorized code that was redeemed before; see keepRetry.
func (s *Server) redeemAgain(ctx context.Context, st once.Store, code, txCode string, c *caller, subset []Details, now time.Time) (*authorized, error) {
	value, err := st.Get(ctx, kindRetry, once.Hash(code), now)
	if gone(err) {
		return nil, refuse(CodeInvalidGrant, "pre-authorized_code is unknown, expired or used (OpenID4VCI 1.0, 6.3)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: who redeemed an offer: %w", err)
	}
	a := &authorized{}
	if err := read(value, a); err != nil {
		return nil, err
	}
	if a.Client != c.client.ID || !equal(a.Instance, c.instance.thumbprint()) || !equal(a.Thumbprint, c.dpop.Thumbprint) ||
		a.TxCode == "" && txCode != "" || a.TxCode != "" && !equal(a.TxCode, hashTxCode(code, txCode)) {
		return nil, refuse(CodeInvalidGrant, "pre-authorized_code is used (OpenID4VCI 1.0, 6.3); only who redeemed it may repeat the request", nil)
	}
	if err := a.allows(subset); err != nil {
		return nil, err
	}
	if _, err := st.Get(ctx, kindAccess, a.Grant, now); gone(err) { // the first access token has the id of the grant
		return nil, refuse(CodeInvalidGrant, "pre-authorized_code is used (OpenID4VCI 1.0, 6.3), and its grant has ended", err)
	} else if err != nil {
		return nil, fmt.Errorf("oauth: first token of an offer: %w", err)
	}
	return a, s.Revoke(ctx, st, a.Grant, now)
}

// arrived notes that the token of a pre-authorized code is in use: the code
// cannot be redeemed again.
func (s *Server) arrived(ctx context.Context, st once.Store, g *Grant, now time.Time) error {
	if _, err := st.Claim(ctx, kindRetry, g.Offer, now); err != nil && !gone(err) {
		return fmt.Errorf("oauth: end an offer: %w", err)
	}
	g.Offer = ""
	return nil
}

// thumbprint is that of the instance key, "" without an instance.
func (i *Instance) thumbprint() string {
	if i == nil {
		return ""
	}
	return i.Thumbprint
}

package oid4vci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// The schemes of a credential offer: of OpenID4VCI 1.0, 4.1, and for wallets of
// OpenID4VC High Assurance Interoperability Profile 1.0, 4.2.
const (
	OfferScheme     = "openid-credential-offer"
	HAIPOfferScheme = "haip-vci"
)

// Limits of an offer.
const (
	maxOffer       = 64 << 10 // bytes
	maxOffered     = 32       // configurations
	maxDescription = 300      // characters of the tx_code's description; OpenID4VCI 1.0, 4.1.1
)

// Offer is what an issuing authority tells a wallet to come and get.
//
// OpenID4VCI 1.0, 4.1.1.
type Offer struct {
	// Issuer is the credential issuer identifier.
	Issuer string
	// Configurations are the offered credential configurations.
	Configurations []string
	// Code and PreAuthorized are the ways to get them; both may be nil: then
	// the wallet looks for a way in the metadata.
	Code          *CodeGrant
	PreAuthorized *PreAuthorizedGrant
}

// CodeGrant lets the wallet start an authorisation code flow.
type CodeGrant struct {
	IssuerState         string `json:"issuer_state,omitempty"`
	AuthorizationServer string `json:"authorization_server,omitempty"`
}

// PreAuthorizedGrant holds a code that was authorised already.
type PreAuthorizedGrant struct {
	Code string `json:"pre-authorized_code"`
	// TxCode is not nil when the person has to enter a transaction code that
	// came another way.
	TxCode              *TxCode `json:"tx_code,omitempty"`
	AuthorizationServer string  `json:"authorization_server,omitempty"`
}

// TxCode describes the transaction code for the field it is entered in.
type TxCode struct {
	InputMode   string `json:"input_mode,omitempty"` // "numeric" (default) or "text"
	Length      int    `json:"length,omitempty"`
	Description string `json:"description,omitempty"`
}

type offerWire struct {
	Issuer         string   `json:"credential_issuer"`
	Configurations []string `json:"credential_configuration_ids"`
	Grants         *struct {
		Code          *CodeGrant          `json:"authorization_code,omitempty"`
		PreAuthorized *PreAuthorizedGrant `json:"urn:ietf:params:oauth:grant-type:pre-authorized_code,omitempty"`
	} `json:"grants,omitempty"`
}

// MarshalJSON writes the offer in the specification's order.
func (o Offer) MarshalJSON() ([]byte, error) {
	w := offerWire{Issuer: o.Issuer, Configurations: o.Configurations}
	if o.Code != nil || o.PreAuthorized != nil {
		w.Grants = &struct {
			Code          *CodeGrant          `json:"authorization_code,omitempty"`
			PreAuthorized *PreAuthorizedGrant `json:"urn:ietf:params:oauth:grant-type:pre-authorized_code,omitempty"`
		}{o.Code, o.PreAuthorized}
	}
	return json.Marshal(w)
}

// ParseOffer parses an offer. Unknown members are ignored.
//
// OpenID4VCI 1.0, 4.1.1.
func ParseOffer(data []byte) (*Offer, error) {
	var w offerWire
	if err := jose.Unmarshal(data, &w, jose.Limits{Token: maxOffer}); err != nil {
		return nil, fmt.Errorf("credential offer: %w (OpenID4VCI 1.0, 4.1.1)", err)
	}
	o := &Offer{Issuer: w.Issuer, Configurations: w.Configurations}
	if w.Grants != nil {
		o.Code, o.PreAuthorized = w.Grants.Code, w.Grants.PreAuthorized
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("credential offer: %w (OpenID4VCI 1.0, 4.1.1)", err)
	}
	return o, nil
}

func (o *Offer) check() error {
	if err := oauth.CheckIssuer(o.Issuer); err != nil {
		return err
	}
	if n := len(o.Configurations); n == 0 || n > maxOffered {
		return fmt.Errorf("%d credential_configuration_ids, from 1 to %d", n, maxOffered)
	}
	for i, id := range o.Configurations {
		if id == "" || slices.Contains(o.Configurations[:i], id) {
			return errors.New("credential_configuration_ids holds an empty or repeated id")
		}
	}
	p := o.PreAuthorized
	if p == nil {
		return nil
	}
	if p.Code == "" {
		return errors.New("pre-authorized_code is missing")
	}
	if tx := p.TxCode; tx != nil {
		switch {
		case tx.InputMode != "" && tx.InputMode != "numeric" && tx.InputMode != "text":
			return fmt.Errorf("input_mode of tx_code is %.20q, not numeric or text", tx.InputMode)
		case tx.Length < 0 || tx.Length > 64:
			return fmt.Errorf("length of tx_code is %d", tx.Length)
		case len([]rune(tx.Description)) > maxDescription:
			return fmt.Errorf("description of tx_code is longer than %d characters", maxDescription)
		}
	}
	return nil
}

// Link is the offer for a link or QR code, by value.
func (o Offer) Link(scheme string) (string, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	return scheme + "://?" + url.Values{"credential_offer": {string(data)}}.Encode(), nil
}

// LinkByReference is the link to an offer that the wallet fetches from uri,
// which keeps a QR code small.
func LinkByReference(scheme, uri string) string {
	return scheme + "://?" + url.Values{"credential_offer_uri": {uri}}.Encode()
}

// ReadOffer reads the offer in a link under any scheme, fetching it where it
// is given by reference.
//
// OpenID4VCI 1.0, 4.1.2 and 4.1.3.
func ReadOffer(ctx context.Context, do fetch.Func, link string) (*Offer, error) {
	if len(link) > maxOffer {
		return nil, fmt.Errorf("credential offer link of %d bytes, at most %d", len(link), maxOffer)
	}
	u, err := url.Parse(link)
	if err != nil {
		return nil, errors.New("credential offer link is not a URI (OpenID4VCI 1.0, 4.1)")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("query of the credential offer link is malformed")
	}
	value, ref := q["credential_offer"], q["credential_offer_uri"]
	switch {
	case len(value) == 1 && len(ref) == 0:
		return ParseOffer([]byte(value[0]))
	case len(value) == 0 && len(ref) == 1:
		return fetchOffer(ctx, do, ref[0])
	}
	return nil, errors.New("link holds not exactly one of credential_offer and credential_offer_uri (OpenID4VCI 1.0, 4.1)")
}

func fetchOffer(ctx context.Context, do fetch.Func, uri string) (*Offer, error) {
	if err := oauth.CheckURL(uri); err != nil {
		return nil, fmt.Errorf("credential_offer_uri: %w (OpenID4VCI 1.0, 4.1.3)", err)
	}
	resp, err := do(ctx, fetch.Request{
		Method: "GET", URL: uri, MaxBytes: maxOffer,
		Header: map[string]string{"accept": "application/json"},
	})
	if err != nil {
		return nil, fmt.Errorf("fetch the credential offer: %w", err)
	}
	if resp.Status != 200 {
		return nil, fmt.Errorf("fetch the credential offer: the issuer answered %d %s; the offer may be over (OpenID4VCI 1.0, 4.1.3)", resp.Status, resp.Refusal())
	}
	return ParseOffer(resp.Body)
}

package wallet

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"net/url"
	"strings"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/protocol/query"
)

// Offer is an offer of documents with what is needed to decide about it.
type Offer struct {
	oid4vci.Offer
	Metadata *oid4vci.Metadata
	// Issuer is who says that it makes the offer, trusted if a trusted CA vouches
	// for who signed the metadata; who signs the documents is found out when they
	// are there.
	Issuer    Party
	Documents []Offered // those of Configurations that this app can hold
	// TxCode is not nil when a code that came another way (PIN) is needed.
	TxCode *oid4vci.TxCode
	// Browser says that the person has to authenticate in a browser.
	Browser bool
}

// Offered is one document of an offer.
type Offered struct {
	Configuration string
	Format        string
	DocType       string // of an SD-JWT VC, its vct
	Name          string
}

// ReadOffer reads the offer in a link and fetches what the issuer says of
// itself.
//
// OpenID4VCI 1.0, 4.1 and 12.2.
func (w *Wallet) ReadOffer(ctx context.Context, link string) (*Offer, error) {
	read, err := oid4vci.ReadOffer(ctx, w.deps.Fetch, link)
	if err != nil {
		return nil, err
	}
	meta, issuer, err := w.discover(ctx, read.Issuer)
	if err != nil {
		return nil, fmt.Errorf("read the offer: %w", err)
	}
	o := &Offer{Offer: *read, Metadata: meta, Issuer: issuer}
	if o.PreAuthorized != nil {
		o.TxCode = o.PreAuthorized.TxCode
	} else {
		o.Browser = true
	}
	for _, id := range o.Configurations {
		conf, ok := meta.Configurations[id]
		if !ok {
			return nil, fmt.Errorf("read the offer: configuration %.80q is not in the issuer's metadata (OpenID4VCI 1.0, 4.1.1)", id)
		}
		if !holds(conf.Format) {
			continue
		}
		o.Documents = append(o.Documents, Offered{Configuration: id, Format: conf.Format, DocType: cmp.Or(conf.DocType, conf.VCT), Name: w.nameOf(conf)})
	}
	if len(o.Documents) == 0 {
		return nil, fmt.Errorf("read the offer: this app can hold none of the offered documents, only those of format %s or %s", query.FormatMdoc, query.FormatSDJWT)
	}
	return o, nil
}

// discover fetches what an issuer says of itself. Signed by whom nobody vouches
// for it counts as if it were not signed: it comes from the issuer's address
// either way.
//
// OpenID4VCI 1.0, 12.2.3; HAIP 1.0, 4.1.
func (w *Wallet) discover(ctx context.Context, issuer string) (*oid4vci.Metadata, Party, error) {
	p := Party{Standing: assure.ReaderUnknown, ID: issuer}
	meta, err := oid4vci.DiscoverSigned(ctx, w.deps.Fetch, issuer, func(chain [][]byte) (crypto.PublicKey, error) {
		leaf, err := leafOf(chain)
		if err != nil {
			return nil, err
		}
		signer, rep := w.anchors(ctx).VerifyChain(chain, trustlist.Issuer, w.now(), assure.ChainOptions{Profile: pki.CredentialSigner})
		if rep.OK() {
			p.Standing, p.VouchedBy, p.Name, p.Fingerprint = assure.ReaderTrusted, oneLine(signer.Organisation(), 120), nameIn(leaf), fingerprint(leaf)
		}
		return leaf.PublicKey, nil
	}, w.now())
	if err == nil && p.Name == "" {
		p.Name = oneLine(display(meta.Display, w.cfg.Language).Name, 120)
	}
	return meta, p, err
}

// nameOf is what people call the documents of a configuration.
func (w *Wallet) nameOf(conf oid4vci.Configuration) string {
	if conf.CredentialMetadata != nil {
		if name := display(conf.CredentialMetadata.Display, w.cfg.Language).Name; name != "" {
			return oneLine(name, 120)
		}
	}
	if t, ok := w.deps.Types.ByDocType(conf.DocType); ok {
		return t.Names.In(w.cfg.Language)
	}
	return oneLine(cmp.Or(conf.DocType, conf.VCT), 120)
}

// display picks the entry in a language, or in its base language, or the
// first one.
func display(list []oid4vci.Display, lang string) oid4vci.Display {
	base, _, _ := strings.Cut(lang, "-")
	for _, want := range []string{lang, base} {
		for _, d := range list {
			if have, _, _ := strings.Cut(d.Locale, "-"); strings.EqualFold(d.Locale, want) || strings.EqualFold(have, want) {
				return d
			}
		}
	}
	if len(list) > 0 {
		return list[0]
	}
	return oid4vci.Display{}
}

// checkTxCode refuses what cannot be the PIN, before it costs a try.
func (o *Offer) checkTxCode(code string) error {
	if o.TxCode == nil {
		return nil
	}
	want := "code"
	if o.TxCode.Length > 0 {
		want = fmt.Sprintf("code of %d characters", o.TxCode.Length)
	}
	if d := oneLine(o.TxCode.Description, 200); d != "" {
		want += " (" + d + ")"
	}
	numeric := o.TxCode.InputMode != "text"
	switch {
	case code == "":
		return advise(ErrTxCode, "enter the "+want+" that came another way")
	case o.TxCode.Length > 0 && len([]rune(code)) != o.TxCode.Length,
		numeric && strings.Trim(code, "0123456789") != "":
		return advise(ErrTxCode, "what was entered cannot be it, and no try was used; enter the "+want)
	}
	return nil
}

// hostOf is the host of a URL for people, the URL itself if it has none.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return oneLine(raw, 120)
	}
	return oneLine(u.Host, 120)
}

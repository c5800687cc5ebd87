package wallet

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/statuslist"
)

// received is a copy of a document in one of the formats, read but not believed.
type received interface {
	// key is what the copy is bound to.
	key() (crypto.PublicKey, error)
	// chain is that of the signer, DER, the signer's certificate first.
	chain() [][]byte
	// verify checks everything that an issuer vouches for.
	verify(ctx context.Context, p assure.DocumentParams) (assure.Signer, statuslist.Verdict, check.Report)
	// span is when the copy is valid; zero times are no limit. Call it only for
	// what was verified.
	span() (from, until time.Time)
	// contents are the names of what is in the copy, sorted: two copies of one
	// document have the same.
	contents() ([]string, error)
	// claims are what a question can ask for.
	claims() (query.Claims, error)
	// show is what a path selects, for people; false if it selects nothing.
	show(w *Wallet, p query.Path) (Shown, bool)
	// prove makes a presentation of what was agreed to. Of an mdoc it is the
	// base64url of a DeviceResponse, of an SD-JWT VC the compact form.
	prove(ctx context.Context, claims []query.Disclosure, b binding, holder key.Signer) (string, error)
}

// holds reports whether the app can hold documents of a format.
func holds(format string) bool { return format == query.FormatMdoc || format == query.FormatSDJWT }

// decode is what an issuer gave as it is stored.
func decode(format, credential string) ([]byte, error) {
	if format == query.FormatSDJWT {
		return []byte(credential), nil
	}
	return oid4vci.DecodeMdoc(credential)
}

// read parses a copy as it is stored.
func read(format string, raw []byte) (received, error) {
	if format == query.FormatSDJWT {
		s, err := sdjwt.Parse(string(raw), sdjwt.Limits{})
		if err != nil {
			return nil, err
		}
		return (*receivedSDJWT)(s), nil
	}
	s, err := mdoc.ParseIssuerSigned(raw)
	if err != nil {
		return nil, err
	}
	return (*receivedMdoc)(s), nil
}

type receivedMdoc mdoc.IssuerSigned

func (r *receivedMdoc) key() (crypto.PublicKey, error) { return r.Auth.MSO.DevicePublicKey() }

func (r *receivedMdoc) chain() [][]byte { return r.Auth.Sign1.X5Chain }

func (r *receivedMdoc) verify(ctx context.Context, p assure.DocumentParams) (assure.Signer, statuslist.Verdict, check.Report) {
	doc, report := assure.VerifyIssued(ctx, (*mdoc.IssuerSigned)(r), p)
	return doc.Signer, doc.Revocation, report
}

func (r *receivedMdoc) span() (from, until time.Time) {
	v := &r.Auth.MSO.Validity
	return v.ValidFrom, v.ValidUntil
}

func (r *receivedMdoc) contents() ([]string, error) {
	var out []string
	for _, ns := range r.NameSpaces {
		for _, item := range ns.Items {
			out = append(out, ns.Name+" "+item.ID)
		}
	}
	slices.Sort(out)
	return out, nil
}

type receivedSDJWT sdjwt.SDJWT

func (r *receivedSDJWT) sdjwt() *sdjwt.SDJWT { return (*sdjwt.SDJWT)(r) }

func (r *receivedSDJWT) key() (crypto.PublicKey, error) {
	pub, err := r.sdjwt().HolderKey()
	if err == nil && pub == nil {
		err = fmt.Errorf("the document is bound to no key (HAIP 1.0, 6.1)")
	}
	return pub, err
}

func (r *receivedSDJWT) chain() [][]byte { return r.Token.Header.X5C }

func (r *receivedSDJWT) verify(ctx context.Context, p assure.DocumentParams) (assure.Signer, statuslist.Verdict, check.Report) {
	doc, report := assure.VerifyIssuedSDJWT(ctx, r.sdjwt(), p)
	return doc.Signer, doc.Revocation, report
}

func (r *receivedSDJWT) span() (from, until time.Time) {
	p, err := r.sdjwt().Unverified()
	if err != nil {
		return from, until
	}
	at := func(name string) (t time.Time) {
		if c, err := p.Select(sdjwt.Path{name}); err == nil && len(c) == 1 {
			var seconds json.Number
			if json.Unmarshal(c[0].Value, &seconds) == nil {
				if s, err := seconds.Float64(); err == nil {
					t = time.Unix(int64(s), 0).UTC()
				}
			}
		}
		return t
	}
	if from = at("nbf"); from.IsZero() {
		from = at("iat")
	}
	return from, at("exp")
}

func (r *receivedSDJWT) contents() ([]string, error) {
	p, err := r.sdjwt().Unverified()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range p.Disclosed() {
		out = append(out, c.Path.String())
	}
	slices.Sort(out)
	return out, nil
}

// registered are the claims of an SD-JWT VC that are about it and not about the
// person. SD-JWT VC draft 18, 2.2.2.
func registered() []string {
	return []string{"iss", "iat", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status", "sub"}
}

// claimElements are the contents of an SD-JWT VC for people, leaf by leaf.
func (w *Wallet) claimElements(s *sdjwt.SDJWT) ([]Element, error) {
	p, err := s.Unverified()
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(p.JSON(), &members); err != nil {
		return nil, err
	}
	l := leaves{w: w, vct: s.VCT()}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(registered(), name) {
			l.add(sdjwt.Path{name}, members[name])
		}
	}
	return l.out, nil
}

// leaves collects the leaves of a claim tree.
type leaves struct {
	w   *Wallet
	vct string
	out []Element
}

func (l *leaves) add(path sdjwt.Path, value json.RawMessage) {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) == nil && members != nil {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			l.add(append(slices.Clone(path), name), members[name])
		}
		return
	}
	e := Element{ID: path.String()}
	e.Label, e.Text = l.w.deps.Types.DisplayClaim(l.w.cfg.Language, l.vct, path, value)
	e.Label, e.Text = printable(e.Label), printable(e.Text)
	var text string
	if json.Unmarshal(value, &text) == nil {
		if picture, mediaType, ok := doctype.ParseDataURL(text); ok && strings.HasPrefix(mediaType, "image/") {
			e.Image = picture
		}
	}
	l.out = append(l.out, e)
}

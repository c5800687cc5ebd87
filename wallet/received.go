package wallet

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
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
	l := leaves{lang: w.cfg.Language, labels: w.claimLabels(s.VCT())}
	for _, name := range sorted(members) {
		if !slices.Contains(registered(), name) {
			l.add(sdjwt.Path{name}, members[name])
		}
	}
	return l.out, nil
}

// claimLabels are what the definition of a type calls its claims, by path.
func (w *Wallet) claimLabels(vct string) map[string]string {
	labels := map[string]string{}
	for _, t := range w.deps.Types.All() {
		if t.VCT != vct || !t.HasSDJWT() {
			continue
		}
		m, err := t.TypeMetadata("")
		if err != nil {
			continue // it was checked when it was loaded
		}
		for _, c := range m.Claims {
			for i, d := range c.Display {
				base, _, _ := strings.Cut(d.Locale, "-")
				if i == 0 || d.Locale == w.cfg.Language || base == w.cfg.Language {
					labels[c.Path.String()] = d.Label
				}
			}
		}
	}
	return labels
}

// leaves collects the leaves of a claim tree.
type leaves struct {
	lang   string
	labels map[string]string
	out    []Element
}

func (l *leaves) add(path sdjwt.Path, value json.RawMessage) {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) == nil && members != nil {
		for _, name := range sorted(members) {
			l.add(append(slices.Clone(path), name), members[name])
		}
		return
	}
	e := Element{ID: path.String(), Label: l.label(path)}
	var text string
	var list []json.RawMessage
	switch {
	case json.Unmarshal(value, &list) == nil && list != nil:
		var parts []string
		for _, v := range list {
			parts = append(parts, plain(v))
		}
		text = strings.Join(parts, ", ")
	default:
		text = plain(value)
	}
	if picture, ok := dataImage(text); ok {
		e.Image, text = picture, doctype.ImageSize(l.lang, len(picture))
	}
	e.Text = printable(text)
	l.out = append(l.out, e)
}

// label is what the type calls the claim, or else its name.
func (l *leaves) label(path sdjwt.Path) string {
	if label, ok := l.labels[path.String()]; ok {
		return label
	}
	name, _ := path[len(path)-1].(string)
	return printable(strings.ReplaceAll(name, "_", " "))
}

// plain is a JSON value as text: a string without quotes.
func plain(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

func sorted(members map[string]json.RawMessage) []string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// dataImage is the picture in a data URL: JPEG, JPEG 2000 or PNG in base64.
// RFC 2397.
func dataImage(text string) ([]byte, bool) {
	for _, mediaType := range []string{"image/jpeg", "image/jp2", "image/png"} {
		if encoded, ok := strings.CutPrefix(text, "data:"+mediaType+";base64,"); ok {
			picture, err := base64.StdEncoding.DecodeString(encoded)
			return picture, err == nil && len(picture) > 0
		}
	}
	return nil, false
}

package query

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
)

// FromDeviceRequest is the question in a DeviceRequest. Without
// deviceRequestInfo the first edition leaves open how several document
// requests belong together; here each is wanted, the holder decides, and an
// element that is missing does not stop the others. Errors wrap [ErrQuery]:
// more is asked than a person could consent to, or a part cannot be read.
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.1; second edition (draft v4), 10.2.8.
func FromDeviceRequest(req *mdoc.DeviceRequest) (Query, error) {
	if n := len(req.Documents); n > maxCredentials {
		return Query{}, bad("%d document requests, at most %d", n, maxCredentials)
	}
	q := Query{NonEmpty: true}
	for i := range req.Documents {
		c, err := fromDocRequest(&req.Documents[i])
		if err != nil {
			return Query{}, fmt.Errorf("document request %d: %w", i, err)
		}
		c.ID = strconv.Itoa(i)
		q.Credentials = append(q.Credentials, c)
	}
	if req.Info == nil || len(req.Info.UseCases) == 0 {
		for _, c := range q.Credentials {
			q.Sets = append(q.Sets, Set{Options: [][]string{{c.ID}}})
		}
		return q, nil
	}
	for i := range q.Credentials {
		q.Credentials[i].Partial = false
	}
	for _, u := range req.Info.UseCases {
		s := Set{Required: u.Mandatory, Purposes: purposes(u.Purposes)}
		for _, ids := range u.DocumentSets {
			var option []string
			for _, id := range ids {
				if id < 0 || id >= len(q.Credentials) {
					return Query{}, bad("use case names document request %d of %d (ISO/IEC 18013-5 second edition (draft v4), 10.2.5)",
						id, len(q.Credentials))
				}
				option = append(option, strconv.Itoa(id))
			}
			s.Options = append(s.Options, option)
		}
		q.Sets = append(q.Sets, s)
	}
	return q, nil
}

// purposes are the purpose hints to show. Several in one use case are one
// purpose in the words of several controllers: the one that we know, if it is
// there, and the first otherwise.
//
// ISO/IEC 18013-5 second edition (draft v4), 10.2.5.
func purposes(hints []mdoc.PurposeHint) []string {
	if len(hints) == 0 {
		return nil
	}
	known := max(0, slices.IndexFunc(hints, func(h mdoc.PurposeHint) bool { return h.Controller == mdoc.PurposeController }))
	return []string{hints[known].Controller + ":" + strconv.FormatInt(hints[known].Code, 10)}
}

func fromDocRequest(d *mdoc.DocRequest) (Credential, error) {
	c := Credential{Format: FormatMdoc, Types: []string{d.DocType}, NearestAge: true, Partial: true}
	for _, ns := range d.NameSpaces {
		for _, e := range ns.Elements {
			c.Claims = append(c.Claims, Claim{Path: Element(ns.Name, e.ID), Retain: e.IntentToRetain})
		}
	}
	if n := len(c.Claims); n > maxClaims {
		return c, bad("%d elements, at most %d", n, maxClaims)
	}
	if d.Info == nil {
		return c, nil
	}
	return c, refine(&c, d.Info)
}

// refine puts a requestInfo into c. Alternatives name elements that are
// requested too; one for an element that is not says nothing.
//
// ISO/IEC 18013-5 second edition (draft v4), 10.2.4.
func refine(c *Credential, info *mdoc.DocRequestInfo) error {
	total := 0
	for _, alt := range info.Alternatives {
		requested := Element(alt.Requested.NameSpace, alt.Requested.ID)
		n := slices.IndexFunc(c.Claims, func(cl Claim) bool { return cl.Path.Equal(requested) })
		for _, set := range alt.Sets {
			if total += len(set); total > maxClaims {
				return bad("more than %d alternative elements", maxClaims)
			}
			var paths []Path
			for _, ref := range set {
				paths = append(paths, Element(ref.NameSpace, ref.ID))
			}
			if n >= 0 {
				c.Claims[n].Alternatives = append(c.Claims[n].Alternatives, paths)
			}
		}
	}
	if n := len(info.IssuerIdentifiers); n > maxClaims {
		return bad("%d issuer identifiers, at most %d", n, maxClaims)
	}
	for _, id := range info.IssuerIdentifiers {
		c.Authorities = append(c.Authorities, Authority{AuthorityAKI, base64.RawURLEncoding.EncodeToString(id)})
	}
	c.Multiple = info.UniqueDocSetRequired != nil && !*info.UniqueDocSetRequired
	c.MaxResponse = info.MaximumResponseSize
	required, err := zkRequired(info.ZKRequest)
	if required {
		c.Unsupported = "the verifier accepts only a zero-knowledge proof, which this app cannot give"
	}
	return err
}

// zkRequired reads zkRequired of a ZkRequest, if there is one.
// ISO/IEC 18013-5 second edition (draft v4), 10.2.7.
func zkRequired(raw []byte) (required bool, err error) {
	if raw == nil {
		return false, nil
	}
	r := cbor.ReadChecked(raw, cbor.Limits{})
	r.Map(func() {
		if string(r.TextBytes()) == "zkRequired" {
			required = r.Bool()
		} else {
			r.Skip()
		}
	})
	if err := r.Done(); err != nil {
		return false, bad("zkRequest: %v (ISO/IEC 18013-5 second edition (draft v4), 10.2.7)", err)
	}
	return required, nil
}

// DeviceRequest is q as the documents of a DeviceRequest, in the order of
// q.Credentials, and the deviceRequestInfo if q has sets. Only mdocs with one
// type each and without values or claim sets can be asked for this way.
func (q Query) DeviceRequest() ([]mdoc.DocRequest, *mdoc.DeviceRequestInfo, error) {
	var docs []mdoc.DocRequest
	number := make(map[string]int)
	for i, c := range q.Credentials {
		if n := len(ages(&c)); n > maxAges {
			return nil, nil, bad("credential %s: %d age statements, at most %d (ISO/IEC 18013-5:2021, 7.2.5)", c.ID, n, maxAges)
		}
		d, err := c.docRequest()
		if err != nil {
			return nil, nil, fmt.Errorf("credential %s: %w", c.ID, err)
		}
		docs = append(docs, d)
		number[c.ID] = i
	}
	if len(q.Sets) == 0 {
		return docs, nil, nil
	}
	info := &mdoc.DeviceRequestInfo{}
	for _, s := range q.Sets {
		u := mdoc.UseCase{Mandatory: s.Required, Purposes: hints(s.Purposes)}
		for _, o := range s.Options {
			var ids []int
			for _, id := range o {
				n, ok := number[id]
				if !ok {
					return nil, nil, bad("set names credential %q that is not there", id)
				}
				ids = append(ids, n)
			}
			u.DocumentSets = append(u.DocumentSets, ids)
		}
		info.UseCases = append(info.UseCases, u)
	}
	return docs, info, nil
}

// hints are the purposes that a DeviceRequest can say: those of a controller.
func hints(purposes []string) []mdoc.PurposeHint {
	var out []mdoc.PurposeHint
	for _, p := range purposes {
		n := strings.LastIndexByte(p, ':')
		if n <= 0 {
			continue
		}
		if code, err := strconv.ParseInt(p[n+1:], 10, 64); err == nil {
			out = append(out, mdoc.PurposeHint{Controller: p[:n], Code: code})
		}
	}
	return out
}

func (c *Credential) docRequest() (mdoc.DocRequest, error) {
	d := mdoc.DocRequest{}
	if c.Format != FormatMdoc || len(c.Types) != 1 || len(c.Claims) == 0 || len(c.ClaimSets) > 0 {
		return d, bad("a DeviceRequest asks for elements of mdocs of one type, without claim sets (ISO/IEC 18013-5:2021, 8.3.2.1.2.1)")
	}
	d.DocType = c.Types[0]
	var info mdoc.DocRequestInfo
	for i, cl := range c.Claims {
		if slices.ContainsFunc(c.Claims[:i], func(o Claim) bool { return o.Path.Equal(cl.Path) }) {
			return d, bad("%s is asked for twice (ISO/IEC 18013-5:2021, 8.3.2.1.2.1)", cl.Path)
		}
		ref, ok := cl.Path.element()
		if !ok || len(cl.Values) > 0 {
			return d, bad("%s: a DeviceRequest asks for elements of name spaces, without values (ISO/IEC 18013-5:2021, 8.3.2.1.2.1)", cl.Path)
		}
		d.Add(ref, cl.Retain)
		var sets [][]mdoc.ElementRef
		for _, paths := range cl.Alternatives {
			var set []mdoc.ElementRef
			for _, p := range paths {
				r, ok := p.element()
				if !ok {
					return d, bad("%s: not an element of a name space", p)
				}
				set = append(set, r)
			}
			sets = append(sets, set)
		}
		if sets != nil {
			info.Alternatives = append(info.Alternatives, mdoc.AlternativeDataElements{Requested: ref, Sets: sets})
		}
	}
	for _, a := range c.Authorities {
		id, err := base64.RawURLEncoding.DecodeString(a.Value)
		if a.Type != AuthorityAKI || err != nil {
			return d, bad("a DeviceRequest names issuers by key identifier (ISO/IEC 18013-5 second edition (draft v4), 10.2.4)")
		}
		info.IssuerIdentifiers = append(info.IssuerIdentifiers, id)
	}
	info.MaximumResponseSize = c.MaxResponse
	// What a first edition reader asks goes without requestInfo. Where there is
	// one it is complete, as is recommended.
	if info.Alternatives != nil || info.IssuerIdentifiers != nil || info.MaximumResponseSize != 0 || c.Multiple {
		one := !c.Multiple
		info.UniqueDocSetRequired = &one
		d.Info = &info
	}
	return d, nil
}

// element is the path as an element of an mdoc.
func (p Path) element() (mdoc.ElementRef, bool) {
	if len(p) != 2 {
		return mdoc.ElementRef{}, false
	}
	ns, ok1 := p[0].(string)
	id, ok2 := p[1].(string)
	return mdoc.ElementRef{NameSpace: ns, ID: id}, ok1 && ok2 && ns != "" && id != ""
}

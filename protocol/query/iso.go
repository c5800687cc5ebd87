package query

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/eidos-id/eidos/format/mdoc"
)

// FromDeviceRequest is the question in a DeviceRequest. Without
// deviceRequestInfo the first edition leaves open how several document
// requests belong together; here each is wanted, the holder decides, and an
// element that is missing does not stop the others.
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.1; second edition (draft v4), 10.2.8.
func FromDeviceRequest(req *mdoc.DeviceRequest) (Query, error) {
	q := Query{NonEmpty: true}
	for i := range req.Documents {
		d := &req.Documents[i]
		c := Credential{ID: strconv.Itoa(i), Format: FormatMdoc, Types: []string{d.DocType}, NearestAge: true, Partial: true}
		for _, ns := range d.NameSpaces {
			for _, e := range ns.Elements {
				c.Claims = append(c.Claims, Claim{Path: Element(ns.Name, e.ID), Retain: e.IntentToRetain})
			}
		}
		if d.Info != nil {
			refine(&c, d.Info)
		}
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
		s := Set{Required: u.Mandatory}
		for _, p := range u.Purposes {
			s.Purposes = append(s.Purposes, p.Controller+":"+strconv.FormatInt(p.Code, 10))
		}
		for _, ids := range u.DocumentSets {
			var option []string
			for _, id := range ids {
				if id < 0 || id >= len(q.Credentials) {
					return Query{}, fmt.Errorf("%w: use case names document request %d of %d (ISO/IEC 18013-5 second edition (draft v4), 10.2.5)",
						ErrQuery, id, len(q.Credentials))
				}
				option = append(option, strconv.Itoa(id))
			}
			s.Options = append(s.Options, option)
		}
		q.Sets = append(q.Sets, s)
	}
	return q, nil
}

// refine puts a requestInfo into c. Alternatives name elements that are
// requested too; one for an element that is not says nothing.
func refine(c *Credential, info *mdoc.DocRequestInfo) {
	for _, alt := range info.Alternatives {
		for i := range c.Claims {
			if !c.Claims[i].Path.Equal(Element(alt.Requested.NameSpace, alt.Requested.ID)) {
				continue
			}
			for _, set := range alt.Sets {
				var paths []Path
				for _, ref := range set {
					paths = append(paths, Element(ref.NameSpace, ref.ID))
				}
				c.Claims[i].Alternatives = append(c.Claims[i].Alternatives, paths)
			}
		}
	}
	for _, id := range info.IssuerIdentifiers {
		c.Authorities = append(c.Authorities, Authority{"aki", base64.RawURLEncoding.EncodeToString(id)})
	}
	c.Multiple = info.UniqueDocSetRequired != nil && !*info.UniqueDocSetRequired
	c.MaxResponse = info.MaximumResponseSize
}

// DeviceRequest is q as the documents of a DeviceRequest, in the order of
// q.Credentials, and the deviceRequestInfo if q has sets. Only mdocs with one
// type each and without values or claim sets can be asked for this way.
func (q Query) DeviceRequest() ([]mdoc.DocRequest, *mdoc.DeviceRequestInfo, error) {
	var docs []mdoc.DocRequest
	number := make(map[string]int)
	for i, c := range q.Credentials {
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
		u := mdoc.UseCase{Mandatory: s.Required}
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

func (c *Credential) docRequest() (mdoc.DocRequest, error) {
	d := mdoc.DocRequest{}
	if c.Format != FormatMdoc || len(c.Types) != 1 || len(c.ClaimSets) > 0 {
		return d, bad("a DeviceRequest asks for mdocs of one type, without claim sets (ISO/IEC 18013-5:2021, 8.3.2.1.2.1)")
	}
	d.DocType = c.Types[0]
	var info mdoc.DocRequestInfo
	for _, cl := range c.Claims {
		ref, ok := cl.Path.element()
		if !ok || len(cl.Values) > 0 {
			return d, bad("%s: a DeviceRequest asks for elements of name spaces, without values (ISO/IEC 18013-5:2021, 8.3.2.1.2.1)", cl.Path)
		}
		d.NameSpaces = addElement(d.NameSpaces, ref, cl.Retain)
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
		if a.Type != "aki" || err != nil {
			return d, bad("a DeviceRequest names issuers by key identifier (ISO/IEC 18013-5 second edition (draft v4), 10.2.4)")
		}
		info.IssuerIdentifiers = append(info.IssuerIdentifiers, id)
	}
	info.MaximumResponseSize = c.MaxResponse
	if info.Alternatives != nil || info.IssuerIdentifiers != nil || info.MaximumResponseSize != 0 {
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

func addElement(list []mdoc.RequestedNameSpace, ref mdoc.ElementRef, retain bool) []mdoc.RequestedNameSpace {
	e := mdoc.RequestedElement{ID: ref.ID, IntentToRetain: retain}
	for i := range list {
		if list[i].Name == ref.NameSpace {
			list[i].Elements = append(list[i].Elements, e)
			return list
		}
	}
	return append(list, mdoc.RequestedNameSpace{Name: ref.NameSpace, Elements: []mdoc.RequestedElement{e}})
}

package mdoc

import (
	"context"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/key"
)

// RequestParams is what a request is made of.
type RequestParams struct {
	// Documents are the wanted documents: DocType, NameSpaces and Info are
	// read, the other fields are not.
	Documents []DocRequest
	// Info is optional; with it the request has version "1.1". Its Raw is not read.
	Info *DeviceRequestInfo
	// Reader signs the request; nil sends it unauthenticated.
	Reader *ReaderSigner
}

// ReaderSigner is how a reader proves who it is.
type ReaderSigner struct {
	Key key.Signer
	// Chain is the x5chain, DER, leaf first, without the root.
	Chain [][]byte
	// Transcript is the session's.
	Transcript []byte
	// All signs the whole request (version "1.1", second edition) instead of
	// each document. Only for an mdoc that announced ReaderAuthAllSupport.
	All bool
}

// BuildDeviceRequest encodes a DeviceRequest, maps in the order of the CDDL,
// and signs it. The result parses with [ParseDeviceRequest]. Errors:
// [ErrSyntax], [ErrLimit], or the signer's.
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.1 and 9.1.4; second edition (draft v4), 10.2 and 12.5.
func BuildDeviceRequest(ctx context.Context, p RequestParams) ([]byte, error) {
	items := make([][]byte, len(p.Documents))
	for i := range p.Documents {
		items[i] = cbor.AppendEmbedded(nil, appendItemsRequest(nil, &p.Documents[i]))
	}
	var info []byte
	if p.Info != nil {
		info = cbor.AppendEmbedded(nil, appendDeviceRequestInfo(nil, p.Info))
	}
	all := p.Reader != nil && p.Reader.All
	members, version := 2, "1.0"
	if p.Info != nil {
		members, version = members+1, "1.1"
	}
	if all {
		members, version = members+1, "1.1"
	}
	b := cbor.AppendText(cbor.AppendMap(nil, members), "version")
	b = cbor.AppendText(b, version)
	b = cbor.AppendArray(cbor.AppendText(b, "docRequests"), len(items))
	var err error
	for _, raw := range items {
		if p.Reader == nil || all {
			b = append(cbor.AppendText(cbor.AppendMap(b, 1), "itemsRequest"), raw...)
			continue
		}
		b = append(cbor.AppendText(cbor.AppendMap(b, 2), "itemsRequest"), raw...)
		b = cbor.AppendText(b, "readerAuth")
		if b, err = p.Reader.sign(ctx, b, ReaderAuthenticationBytes(p.Reader.Transcript, raw)); err != nil {
			return nil, err
		}
	}
	if info != nil {
		b = append(cbor.AppendText(b, "deviceRequestInfo"), info...)
	}
	if all {
		b = cbor.AppendArray(cbor.AppendText(b, "readerAuthAll"), 1)
		if b, err = p.Reader.sign(ctx, b, ReaderAuthenticationAllBytes(p.Reader.Transcript, items, info)); err != nil {
			return nil, err
		}
	}
	// What our own parser refuses must not leave: it is the one place that
	// knows the rules of the structure.
	if _, err := ParseDeviceRequest(b); err != nil {
		return nil, err
	}
	return b, nil
}

func (s *ReaderSigner) sign(ctx context.Context, dst, content []byte) ([]byte, error) {
	if len(s.Chain) == 0 || len(s.Transcript) == 0 {
		return nil, fmt.Errorf("reader authentication: %w: chain and transcript are needed", ErrSyntax)
	}
	b, err := cose.AppendSign1(ctx, dst, s.Key, cose.Headers{X5Chain: s.Chain}, cose.Content{Payload: content, Detached: true})
	if err != nil {
		return nil, fmt.Errorf("reader authentication: %w", err)
	}
	return b, nil
}

func appendItemsRequest(b []byte, d *DocRequest) []byte {
	members := 2
	if d.Info != nil {
		members++
	}
	b = cbor.AppendText(cbor.AppendMap(b, members), "docType")
	b = cbor.AppendText(b, d.DocType)
	b = cbor.AppendMap(cbor.AppendText(b, "nameSpaces"), len(d.NameSpaces))
	for _, ns := range d.NameSpaces {
		b = cbor.AppendMap(cbor.AppendText(b, ns.Name), len(ns.Elements))
		for _, e := range ns.Elements {
			b = cbor.AppendBool(cbor.AppendText(b, e.ID), e.IntentToRetain)
		}
	}
	if d.Info != nil {
		b = appendDocRequestInfo(cbor.AppendText(b, "requestInfo"), d.Info)
	}
	return b
}

func appendDocRequestInfo(b []byte, info *DocRequestInfo) []byte {
	members := len(info.Extensions)
	for _, present := range []bool{len(info.Alternatives) > 0, len(info.IssuerIdentifiers) > 0, info.UniqueDocSetRequired != nil,
		info.MaximumResponseSize > 0, info.ZKRequest != nil, info.DocResponseEncryption != nil} {
		if present {
			members++
		}
	}
	b = cbor.AppendMap(b, members)
	if len(info.Alternatives) > 0 {
		b = cbor.AppendArray(cbor.AppendText(b, "alternativeDataElements"), len(info.Alternatives))
		for _, a := range info.Alternatives {
			b = appendRef(cbor.AppendText(cbor.AppendMap(b, 2), "requestedElement"), a.Requested)
			b = cbor.AppendArray(cbor.AppendText(b, "alternativeElementSets"), len(a.Sets))
			for _, set := range a.Sets {
				b = cbor.AppendArray(b, len(set))
				for _, ref := range set {
					b = appendRef(b, ref)
				}
			}
		}
	}
	if len(info.IssuerIdentifiers) > 0 {
		b = cbor.AppendArray(cbor.AppendText(b, "issuerIdentifiers"), len(info.IssuerIdentifiers))
		for _, id := range info.IssuerIdentifiers {
			b = cbor.AppendBytes(b, id)
		}
	}
	if info.UniqueDocSetRequired != nil {
		b = cbor.AppendBool(cbor.AppendText(b, "uniqueDocSetRequired"), *info.UniqueDocSetRequired)
	}
	if info.MaximumResponseSize > 0 {
		b = cbor.AppendUint(cbor.AppendText(b, "maximumResponseSize"), info.MaximumResponseSize)
	}
	if info.ZKRequest != nil {
		b = append(cbor.AppendText(b, "zkRequest"), info.ZKRequest...)
	}
	if info.DocResponseEncryption != nil {
		b = append(cbor.AppendText(b, "docResponseEncryption"), info.DocResponseEncryption...)
	}
	return appendExtensions(b, info.Extensions)
}

func appendExtensions(b []byte, list []Extension) []byte {
	for _, e := range list {
		b = append(cbor.AppendText(b, e.Name), e.Value...)
	}
	return b
}

func appendRef(b []byte, ref ElementRef) []byte {
	return cbor.AppendText(cbor.AppendText(cbor.AppendArray(b, 2), ref.NameSpace), ref.ID)
}

func appendDeviceRequestInfo(b []byte, info *DeviceRequestInfo) []byte {
	members := len(info.Extensions)
	if len(info.UseCases) > 0 {
		members++
	}
	b = cbor.AppendMap(b, members)
	if len(info.UseCases) > 0 {
		b = cbor.AppendArray(cbor.AppendText(b, "useCases"), len(info.UseCases))
		for _, u := range info.UseCases {
			b = appendUseCase(b, u)
		}
	}
	return appendExtensions(b, info.Extensions)
}

func appendUseCase(b []byte, u UseCase) []byte {
	members := 2
	if len(u.Purposes) > 0 {
		members++
	}
	b = cbor.AppendBool(cbor.AppendText(cbor.AppendMap(b, members), "mandatory"), u.Mandatory)
	b = cbor.AppendArray(cbor.AppendText(b, "documentSets"), len(u.DocumentSets))
	for _, set := range u.DocumentSets {
		b = cbor.AppendArray(b, len(set))
		for _, id := range set {
			b = cbor.AppendUint(b, uint64(id))
		}
	}
	if len(u.Purposes) > 0 {
		b = cbor.AppendMap(cbor.AppendText(b, "purposeHints"), len(u.Purposes))
		for _, h := range u.Purposes {
			b = cbor.AppendInt(cbor.AppendText(b, h.Controller), h.Code)
		}
	}
	return b
}

package mdoc

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/key"
)

// Presentation is one document on its way into a response: the selected
// elements, and once [Presentation.Sign], [Presentation.MAC] or
// [Presentation.Finish] was called, the device's proof. It refers to the
// bytes of the stored document.
type Presentation struct {
	mso        *MobileSecurityObject
	issuerAuth []byte
	items      []selected
	device     []byte // DeviceNameSpacesBytes
	errors     []ElementError
	sign       *cose.Prepared
	proof      []byte // the DeviceAuth map
}

// selected are the items to return from one name space.
type selected struct {
	name  string
	items []*IssuerSignedItem
}

// noDeviceNameSpaces is #6.24(bstr .cbor {}).
const noDeviceNameSpaces = "\xd8\x18\x41\xa0"

// Select is [ParseIssuerSigned] and [IssuerSigned.Select] in one for a document
// that was verified when it was received and stored since: elements that are
// not wanted and most of the mobile security object are passed over.
// The presentation refers to stored. Errors: those of both.
func Select(stored []byte, elements []ElementRef) (*Presentation, error) {
	p := &parser{lim: DefaultLimits(), selecting: true, elements: elements}
	s, err := p.whole(stored)
	if err != nil {
		return nil, err
	}
	return s.Select(elements)
}

// Select takes the elements that the holder agreed to share, in the order of
// the stored document. Selecting an element that the document does not hold
// fails with [ErrNoElement]; selecting one twice is the same as once.
func (s *IssuerSigned) Select(elements []ElementRef) (*Presentation, error) {
	p := &Presentation{mso: &s.Auth.MSO, issuerAuth: s.Auth.Sign1.Raw, device: []byte(noDeviceNameSpaces)}
	found := make([]bool, len(elements))
	for i := range s.NameSpaces {
		ns := &s.NameSpaces[i]
		sel := selected{name: ns.Name, items: make([]*IssuerSignedItem, 0, min(len(elements), len(ns.Items)))}
		for j := range ns.Items {
			wanted := false
			for k := range elements {
				if elements[k].ID == ns.Items[j].ID && elements[k].NameSpace == ns.Name {
					wanted, found[k] = true, true
				}
			}
			if wanted {
				sel.items = append(sel.items, &ns.Items[j])
			}
		}
		if len(sel.items) > 0 {
			p.items = append(p.items, sel)
		}
	}
	for k, e := range elements {
		if !found[k] {
			return nil, fmt.Errorf("select from %.128q: %w: %.128q of name space %.128q", s.Auth.MSO.DocType, ErrNoElement, e.ID, e.NameSpace)
		}
	}
	return p, nil
}

// holds reports whether the element is selected from the issuer's.
func (p *Presentation) holds(ref ElementRef) bool {
	for _, sel := range p.items {
		if sel.name != ref.NameSpace {
			continue
		}
		for _, item := range sel.items {
			if item.ID == ref.ID {
				return true
			}
		}
	}
	return false
}

// SignElements adds elements that the device signs itself. The mobile security
// object must authorise each ([ErrNoElement] if not), and none may be selected
// from the issuer's too ([ErrSyntax]). It replaces what an earlier call added
// and must come before the proof. ISO/IEC 18013-5:2021, 9.1.2.4 and 9.1.3.
func (p *Presentation) SignElements(nameSpaces []DeviceNameSpace) error {
	if dup, ok := unique(len(nameSpaces), func(i int) string { return nameSpaces[i].Name }); !ok {
		return fmt.Errorf("device-signed elements: %w: name space %.128q twice", ErrSyntax, dup)
	}
	inner := cbor.AppendMap(nil, len(nameSpaces))
	for _, ns := range nameSpaces {
		if dup, ok := unique(len(ns.Elements), func(i int) string { return ns.Elements[i].ID }); !ok {
			return fmt.Errorf("device-signed elements: %w: %.128q twice", ErrSyntax, dup)
		}
		inner = cbor.AppendMap(cbor.AppendText(inner, ns.Name), len(ns.Elements))
		for _, e := range ns.Elements {
			ref := ElementRef{ns.Name, e.ID}
			if !p.mso.KeyAuthorizations.Authorizes(ref) {
				return fmt.Errorf("device-signed elements: %w: %.128q of name space %.128q is not in keyAuthorizations (ISO/IEC 18013-5:2021, 9.1.2.4)", ErrNoElement, e.ID, ns.Name)
			}
			if p.holds(ref) {
				return fmt.Errorf("device-signed elements: %w: %.128q of name space %.128q is issuer signed too", ErrSyntax, e.ID, ns.Name)
			}
			inner = append(cbor.AppendText(inner, e.ID), e.Value...)
		}
	}
	if err := (&parser{lim: DefaultLimits()}).deviceNameSpaces(new(DeviceSigned), inner); err != nil {
		return err
	}
	p.device, p.sign, p.proof = cbor.AppendEmbedded(nil, inner), nil, nil
	return nil
}

// AddErrors says why elements were not returned.
func (p *Presentation) AddErrors(errs []ElementError) { p.errors = append(p.errors, errs...) }

// Sign makes the device signature with the key that the document is bound to
// ([ErrKey] if it is another). transcript is one of the Transcript functions'.
// ISO/IEC 18013-5:2021, 9.1.3.6.
func (p *Presentation) Sign(ctx context.Context, transcript []byte, device key.Signer) error {
	bound, err := p.mso.DevicePublicKey()
	if err != nil {
		return err
	}
	// bound was parsed, so the comparison needs no checks of its own.
	if k, ok := bound.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(device.Public()) {
		return fmt.Errorf("device signature: %w: the document is bound to another", ErrKey)
	}
	message, err := p.prepare(transcript, bound)
	if err != nil {
		return err
	}
	signature, err := device.Sign(ctx, message)
	if err != nil {
		return fmt.Errorf("device signature: %w", err)
	}
	return p.Finish(signature)
}

// Prepare returns what the device key signs, for a signature that is made
// elsewhere and handed to [Presentation.Finish].
func (p *Presentation) Prepare(transcript []byte) (toBeSigned []byte, err error) {
	bound, err := p.mso.DevicePublicKey()
	if err != nil {
		return nil, err
	}
	return p.prepare(transcript, bound)
}

func (p *Presentation) prepare(transcript []byte, bound crypto.PublicKey) (toBeSigned []byte, err error) {
	content := DeviceAuthenticationBytes(transcript, p.mso.DocType, p.device)
	p.sign, err = cose.PrepareSign1(bound, cose.Headers{}, cose.Content{Payload: content, Detached: true})
	if err != nil {
		return nil, fmt.Errorf("device signature: %w: %w", ErrKey, err)
	}
	return p.sign.Message, nil
}

// Finish puts the raw device signature in. It is not verified.
func (p *Presentation) Finish(signature []byte) error {
	if p.sign == nil {
		return fmt.Errorf("device signature: %w: not prepared", ErrSyntax)
	}
	proof := make([]byte, 0, 128)
	proof, err := p.sign.Finish(cbor.AppendText(cbor.AppendMap(proof, 1), "deviceSignature"), signature)
	if err != nil {
		return fmt.Errorf("device signature: %w", err)
	}
	p.proof = proof
	return nil
}

// MAC authenticates the device by agreement with the reader's ephemeral key
// instead of a signature, so that the answer proves nothing to third persons.
// Both keys must be on one curve ([ErrKey]). ISO/IEC 18013-5:2021, 9.1.3.5.
func (p *Presentation) MAC(ctx context.Context, transcript []byte, device key.Agreer, eReaderKey *ecdh.PublicKey) error {
	bound, err := cose.ParseECDHKey(p.mso.DeviceKey)
	if err != nil {
		return fmt.Errorf("device MAC: %w: %w", ErrKey, err)
	}
	if !bound.Equal(device.Public()) {
		return fmt.Errorf("device MAC: %w: the document is bound to another", ErrKey)
	}
	secret, err := macKey(ctx, transcript, device, eReaderKey)
	if err != nil {
		return fmt.Errorf("device MAC: %w", err)
	}
	content := DeviceAuthenticationBytes(transcript, p.mso.DocType, p.device)
	proof, err := cose.AppendMac0(cbor.AppendText(cbor.AppendMap(nil, 1), "deviceMac"), secret,
		cose.Headers{}, cose.Content{Payload: content, Detached: true})
	if err != nil {
		return fmt.Errorf("device MAC: %w", err)
	}
	p.proof = proof
	return nil
}

// macKey derives EMacKey from one side's private and the other's public key.
// ISO/IEC 18013-5:2021, 9.1.3.5.
func macKey(ctx context.Context, transcript []byte, own key.Agreer, peer *ecdh.PublicKey) ([]byte, error) {
	if peer == nil || own.Public().Curve() != peer.Curve() {
		return nil, fmt.Errorf("%w: device and reader keys are on different curves", ErrKey)
	}
	z, err := own.Agree(ctx, peer)
	if err != nil {
		return nil, err
	}
	defer clear(z)
	salt := sha256.Sum256(SessionTranscriptBytes(transcript))
	return hkdf.Key(sha256.New, z, salt[:], "EMacKey", 32)
}

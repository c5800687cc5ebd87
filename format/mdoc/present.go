package mdoc

import (
	"context"
	"crypto/ecdh"

	"github.com/eidos-id/eidos/format/key"
)

// Presentation is one document on its way into a response: the selected
// elements, and once [Presentation.Sign], [Presentation.MAC] or
// [Presentation.Finish] was called, the device's proof.
type Presentation struct {
	docType    string
	issuerAuth []byte
}

// Select takes the elements that the holder agreed to share, in the order of
// the stored document. Selecting an element that the document does not hold
// fails with [ErrNoElement]; selecting one twice is the same as once.
func (s *IssuerSigned) Select(elements []ElementRef) (*Presentation, error) { panic("stub") }

// SignElements adds elements that the device signs itself. The mobile security
// object must authorise each ([ErrNoElement] if not), and none may be selected
// from the issuer's too. ISO/IEC 18013-5:2021, 9.1.2.4 and 9.1.3.
func (p *Presentation) SignElements(nameSpaces []DeviceNameSpace) error { panic("stub") }

// AddErrors says why elements were not returned.
func (p *Presentation) AddErrors(errs []ElementError) { panic("stub") }

// Sign makes the device signature with the key that the document is bound to
// ([ErrKey] if it is another). transcript is one of the Transcript functions'.
// ISO/IEC 18013-5:2021, 9.1.3.6.
func (p *Presentation) Sign(ctx context.Context, transcript []byte, device key.Signer) error {
	panic("stub")
}

// Prepare returns what the device key signs, for a signature that is made
// elsewhere and handed to [Presentation.Finish].
func (p *Presentation) Prepare(transcript []byte) (toBeSigned []byte, err error) { panic("stub") }

// Finish puts the raw device signature in. It is not verified.
func (p *Presentation) Finish(signature []byte) error { panic("stub") }

// MAC authenticates the device by agreement with the reader's ephemeral key
// instead of a signature, so that the answer proves nothing to third persons.
// Both keys must be on one curve ([ErrKey]). ISO/IEC 18013-5:2021, 9.1.3.5.
func (p *Presentation) MAC(ctx context.Context, transcript []byte, device key.Agreer, eReaderKey *ecdh.PublicKey) error {
	panic("stub")
}

// EncodeResponse writes the DeviceResponse of finished presentations, version
// "1.0", status 0. Without presentations and errors it is an empty response.
func EncodeResponse(documents []*Presentation, errors []DocumentError) ([]byte, error) {
	panic("stub")
}

// EncodeErrorResponse writes a DeviceResponse without documents and with an
// error status, such as [StatusCBORDecodingError].
func EncodeErrorResponse(status uint64) []byte { panic("stub") }

package dcapi

import (
	"encoding/json"
	"fmt"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
)

// MdocRequest is a request by ProtocolMdoc that was opened. Who signed it, and
// whether, is the wallet's next question.
type MdocRequest struct {
	// Origin is that of the page that asks, as the platform told it.
	Origin string
	// Device is what is asked for.
	Device *mdoc.DeviceRequest

	info    encryptionInfo
	encoded string // info as received: it is hashed, never encoded again
}

// OpenMdoc reads a request by ProtocolMdoc from a page of an origin, which the
// platform told. Errors wrap ErrOrigin or ErrMalformed.
//
// ISO/IEC TS 18013-7 (draft N2544), C.2 and C.5.
func OpenMdoc(r Request, origin string) (*MdocRequest, error) {
	if err := CheckOrigin(origin); err != nil {
		return nil, err
	}
	var data mdocRequest
	if err := jose.Unmarshal(r.Data, &data, jose.Limits{Token: maxRequests}); err != nil {
		return nil, fmt.Errorf("%w: %w (ISO/IEC TS 18013-7, C.2)", ErrMalformed, err)
	}
	rawInfo, err1 := jose.Decode(data.EncryptionInfo)
	rawRequest, err2 := jose.Decode(data.DeviceRequest)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%w: deviceRequest or encryptionInfo is not base64url without padding (ISO/IEC TS 18013-7, C.2)", ErrMalformed)
	}
	info, err := parseEncryptionInfo(rawInfo)
	if err != nil {
		return nil, err
	}
	device, err := mdoc.ParseDeviceRequest(rawRequest)
	if err != nil {
		return nil, fmt.Errorf("%w: deviceRequest: %w", ErrMalformed, err)
	}
	return &MdocRequest{Origin: origin, Device: device, info: info, encoded: data.EncryptionInfo}, nil
}

// Transcript is the SessionTranscript that reader and device authentication are
// bound to. A device can sign but not authenticate with a MAC: the reader has
// no key on-line that it could agree with.
//
// ISO/IEC TS 18013-7 (draft N2544), C.5.
func (r *MdocRequest) Transcript() []byte { return mdoc.TranscriptDCAPI(r.encoded, r.Origin) }

// Answer encrypts a DeviceResponse for whoever asked: the data of the response.
//
// ISO/IEC TS 18013-7 (draft N2544), C.3 and C.4.
func (r *MdocRequest) Answer(deviceResponse []byte) (json.RawMessage, error) {
	e, err := seal(r.info.recipient, r.Transcript(), deviceResponse)
	if err != nil {
		return nil, fmt.Errorf("encrypt the response: %w", err)
	}
	return json.Marshal(mdocResponse{Response: jose.Encode(e.append(nil))})
}

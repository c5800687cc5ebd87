package dcapi

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
)

// defaultLifetime is how long a request may be answered.
const defaultLifetime = 5 * time.Minute

// Transaction is one question by ProtocolMdoc on its way. It holds the private
// key that the answer is encrypted to, so the role stores it sealed and deletes
// it at the end.
type Transaction struct {
	// Origin is that of the page that asks, and EncryptionInfo the string that
	// it hands over: both are hashed as they are.
	Origin         string    `json:"origin"`
	EncryptionInfo string    `json:"encryption_info"`
	Created        time.Time `json:"created"`
	Expires        time.Time `json:"expires"`
	// PrivateKey is the P-256 scalar, 32 bytes, fresh for this transaction.
	PrivateKey []byte `json:"private_key"`
}

// Begin makes a transaction for a page of an origin: fresh nonce and key.
// Lifetime is 5 minutes if zero. Errors wrap ErrOrigin.
//
// ISO/IEC TS 18013-7 (draft N2544), C.2.
func Begin(origin string, lifetime time.Duration, now time.Time) (*Transaction, error) {
	if err := CheckOrigin(origin); err != nil {
		return nil, err
	}
	if lifetime == 0 {
		lifetime = defaultLifetime
	}
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("response key: %w", err)
	}
	info := encryptionInfo{nonce: make([]byte, 32), recipient: private.PublicKey()}
	rand.Read(info.nonce) // never fails: crypto/rand
	raw, err := info.append(nil)
	if err != nil {
		return nil, fmt.Errorf("encryptionInfo: %w", err)
	}
	return &Transaction{
		Origin: origin, EncryptionInfo: jose.Encode(raw), Created: now, Expires: now.Add(lifetime), PrivateKey: private.Bytes(),
	}, nil
}

// Transcript is the SessionTranscript of request and answer.
//
// ISO/IEC TS 18013-7 (draft N2544), C.5.
func (t *Transaction) Transcript() []byte { return mdoc.TranscriptDCAPI(t.EncryptionInfo, t.Origin) }

// Request is what the page asks with. The Transcript of p.Reader is not read:
// it is that of the transaction.
//
// ISO/IEC TS 18013-7 (draft N2544), C.2; ISO/IEC 18013-5:2021, 8.3.2.1.2.1.
func (t *Transaction) Request(ctx context.Context, p mdoc.RequestParams) (Request, error) {
	if p.Reader != nil {
		signer := *p.Reader
		signer.Transcript = t.Transcript()
		p.Reader = &signer
	}
	request, err := mdoc.BuildDeviceRequest(ctx, p)
	if err != nil {
		return Request{}, err
	}
	data, err := json.Marshal(mdocRequest{DeviceRequest: jose.Encode(request), EncryptionInfo: t.EncryptionInfo})
	return Request{Protocol: ProtocolMdoc, Data: data}, err
}

// Open decrypts what the page was given: a DeviceResponse. It only opens: what
// is in it is not verified. The caller sees to it that a transaction is
// answered once. Errors wrap ErrExpired, ErrMalformed or ErrDecrypt.
//
// ISO/IEC TS 18013-7 (draft N2544), C.3 and C.4.
func (t *Transaction) Open(r Response, now time.Time) ([]byte, error) {
	if !now.Before(t.Expires) {
		return nil, fmt.Errorf("%w: start again", ErrExpired)
	}
	if r.Protocol != ProtocolMdoc && r.Protocol != ProtocolMdocDraft {
		return nil, fmt.Errorf("%w: response of protocol %.40q, not %s (ISO/IEC TS 18013-7, C.1)", ErrMalformed, r.Protocol, ProtocolMdoc)
	}
	var data mdocResponse
	if err := jose.Unmarshal(r.Data, &data, jose.Limits{Token: MaxResponse}); err != nil {
		return nil, fmt.Errorf("%w: response: %w (ISO/IEC TS 18013-7, C.3)", ErrMalformed, err)
	}
	raw, err := jose.Decode(data.Response)
	if err != nil {
		return nil, fmt.Errorf("%w: response is not base64url without padding (ISO/IEC TS 18013-7, C.3)", ErrMalformed)
	}
	e, err := parseEncryptedResponse(raw)
	if err != nil {
		return nil, err
	}
	private, err := ecdh.P256().NewPrivateKey(t.PrivateKey)
	if err != nil {
		return nil, errors.New("the transaction's response key is damaged")
	}
	return open(private, t.Transcript(), e)
}

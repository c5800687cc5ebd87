package mdoc

import (
	"context"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
)

// deviceData is mdoc authentication: the authorisation of what the device
// signed, then its signature or MAC over the transcript that the verifier
// built itself. It trusts the device key only as far as the issuer's data held.
//
// ISO/IEC 18013-5:2021, 9.1.3; second edition (draft v4), 12.8.2.
func (v *verification) deviceData(ctx context.Context, d *Document) {
	const name = "device authentication"
	v.authorisation(d)
	if v.params.Transcript == nil {
		if v.params.RequireDeviceAuth {
			v.report.Fail(name, clauseDevice, "no session transcript to check it with", "verify with the transcript of the session")
			return
		}
		v.report.Skip(name, clauseDevice, "no session transcript was given")
		return
	}
	content := DeviceAuthenticationBytes(v.params.Transcript, d.DocType, d.DeviceSigned.NameSpacesRaw)
	var kind, clause, seen string
	var err error
	if d.DeviceSigned.MAC != nil {
		kind, clause = "mac", clauseMAC
		seen, err = v.deviceMAC(ctx, d, content)
	} else {
		kind, clause = "signature", clauseSignature
		seen, err = v.deviceSignature(d, content)
	}
	if err != nil {
		v.report.Fail(name, clause, err.Error(), "the answer was not made by the device that the document was issued to, or not in this session")
		return
	}
	v.deviceAuth = kind
	v.report.Pass(name, clause, seen)
}

// authorisation: the device may sign only what keyAuthorizations says.
// ISO/IEC 18013-5:2021, 9.1.2.4.
func (v *verification) authorisation(d *Document) {
	const name = "device-signed elements"
	n, bad := 0, false
	for _, ns := range d.DeviceSigned.NameSpaces {
		for _, e := range ns.Elements {
			n++
			if !v.mso.KeyAuthorizations.Authorizes(ElementRef{ns.Name, e.ID}) {
				bad = true
				v.report.Fail(name, clauseMSO, fmt.Sprintf("%s/%s: the issuer did not authorise the device to sign it", ns.Name, e.ID), "do not use the element")
			}
		}
	}
	if n > 0 && !bad {
		v.report.Pass(name, clauseMSO, fmt.Sprintf("%d authorised", n))
	}
}

func (v *verification) deviceSignature(d *Document, content []byte) (string, error) {
	sign1, err := cose.ReadSign1(cbor.NewReader(d.DeviceSigned.Signature))
	if err != nil {
		return "", err
	}
	if sign1.Tagged || sign1.Payload != nil {
		return "", fmt.Errorf("deviceSignature: %w: it must be untagged and its payload detached", ErrSyntax)
	}
	pub, err := v.mso.DevicePublicKey()
	if err != nil {
		return "", err
	}
	if err := sign1.Verify(pub, content, nil); err != nil {
		return "", fmt.Errorf("deviceSignature: %w", err)
	}
	return "signature, " + sign1.Alg.String(), nil
}

func (v *verification) deviceMAC(ctx context.Context, d *Document, content []byte) (string, error) {
	mac0, err := cose.ReadMac0(cbor.NewReader(d.DeviceSigned.MAC))
	if err != nil {
		return "", err
	}
	if mac0.Tagged || mac0.Payload != nil {
		return "", fmt.Errorf("deviceMac: %w: it must be untagged and its payload detached", ErrSyntax)
	}
	if v.params.EReaderKey == nil {
		return "", fmt.Errorf("deviceMac: %w: the reader has no ephemeral key to check a MAC with", ErrKey)
	}
	pub, err := cose.ParseECDHKey(v.mso.DeviceKey)
	if err != nil {
		return "", fmt.Errorf("deviceMac: %w: %w", ErrKey, err)
	}
	secret, err := macKey(ctx, v.params.Transcript, v.params.EReaderKey, pub)
	if err != nil {
		return "", fmt.Errorf("deviceMac: %w", err)
	}
	if err := mac0.Verify(secret, content, nil); err != nil {
		return "", fmt.Errorf("deviceMac: %w", err)
	}
	return "MAC, " + mac0.Alg.String(), nil
}

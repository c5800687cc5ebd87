package key

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// maxDER is the size of the longest Ecdsa-Sig-Value we make, that of P-521:
// two INTEGERs of 66 bytes with two bytes of header each, in a SEQUENCE with three.
const maxDER = 3 + 2*(2+66)

// ASN1ToRaw turns an Ecdsa-Sig-Value in DER (RFC 3279, 2.2.3) into r and s of
// the key's size, one after the other. For Ed25519 keys it returns the
// signature as it is. The error is ErrSignature for anything malformed, and
// for r or s that are not between 1 and the order of the curve.
func ASN1ToRaw(pub crypto.PublicKey, der []byte) ([]byte, error) {
	alg, err := AlgorithmOf(pub)
	if err != nil {
		return nil, err
	}
	if alg == EdDSA {
		if len(der) != 64 {
			return nil, fmt.Errorf("Ed25519 signature of %d bytes: %w", len(der), ErrSignature)
		}
		return der, nil
	}
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil {
		return nil, fmt.Errorf("Ecdsa-Sig-Value: %w: %w", ErrSignature, err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("Ecdsa-Sig-Value with %d trailing bytes: %w", len(rest), ErrSignature)
	}
	curve := pub.(*ecdsa.PublicKey).Curve
	order := curve.Params().N
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.Cmp(order) >= 0 || sig.S.Cmp(order) >= 0 {
		return nil, fmt.Errorf("Ecdsa-Sig-Value with r or s out of range: %w", ErrSignature)
	}
	size := coordinateSize(curve)
	raw := make([]byte, 2*size)
	sig.R.FillBytes(raw[:size])
	sig.S.FillBytes(raw[size:])
	// encoding/asn1 overlooks further elements of a SEQUENCE. DER has one
	// encoding for a value, so comparing with ours finds these and all else.
	if again, err := RawToASN1(raw); err != nil || !bytes.Equal(again, der) {
		return nil, fmt.Errorf("Ecdsa-Sig-Value not in DER: %w", ErrSignature)
	}
	return raw, nil
}

// RawToASN1 turns a raw ECDSA signature into an Ecdsa-Sig-Value in DER
// (RFC 3279, 2.2.3). The length tells the curve: 64, 96 or 132 bytes. The
// error is ErrSignature for other lengths, and for r or s that are zero.
func RawToASN1(raw []byte) ([]byte, error) {
	switch len(raw) {
	case 2 * 32, 2 * 48, 2 * 66:
		return appendDER(make([]byte, 0, maxDER), raw)
	}
	return nil, fmt.Errorf("raw ECDSA signature of %d bytes: %w", len(raw), ErrSignature)
}

// appendDER appends the Ecdsa-Sig-Value of a raw signature of even length. It
// is written by hand because it stands before every verification, where the
// reflection of encoding/asn1 would cost as much as a tenth of it.
func appendDER(dst, raw []byte) ([]byte, error) {
	half := len(raw) / 2
	r, rPad := integer(raw[:half])
	s, sPad := integer(raw[half:])
	if len(r) == 0 || len(s) == 0 {
		return nil, fmt.Errorf("r or s is zero: %w", ErrSignature)
	}
	content := 2 + rPad + len(r) + 2 + sPad + len(s)
	dst = append(dst, 0x30)
	if content >= 0x80 { // X.690, 8.1.3.5: long form
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(content))
	dst = appendInteger(dst, r, rPad)
	return appendInteger(dst, s, sPad), nil
}

// integer strips leading zeros and says how many have to be put back so that
// the INTEGER is positive (X.690, 8.3): none or one.
func integer(b []byte) (digits []byte, pad int) {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) > 0 && b[0] >= 0x80 {
		pad = 1
	}
	return b, pad
}

func appendInteger(dst, digits []byte, pad int) []byte {
	dst = append(dst, 0x02, byte(pad+len(digits)))
	if pad == 1 {
		dst = append(dst, 0)
	}
	return append(dst, digits...)
}

// CryptoSigner shows a Signer to crypto/x509, so that it can sign
// certificates, requests and revocation lists. SignMessage returns what X.509
// wants, a DER Ecdsa-Sig-Value or an Ed25519 signature, and Sign always fails,
// because our keys sign messages and not digests. The context lives as long as
// the value: make one for each certificate, not one for a program.
func CryptoSigner(ctx context.Context, s Signer) crypto.MessageSigner {
	return cryptoSigner{ctx, s}
}

type cryptoSigner struct {
	ctx    context.Context
	signer Signer
}

var errDigest = errors.New("this key signs messages, not digests")

func (c cryptoSigner) Public() crypto.PublicKey { return c.signer.Public() }

func (c cryptoSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errDigest
}

func (c cryptoSigner) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	pub := c.signer.Public()
	alg, err := AlgorithmOf(pub)
	if err != nil {
		return nil, err
	}
	if want := hashOf(alg); opts != nil && opts.HashFunc() != want {
		return nil, fmt.Errorf("%s signs with %v, asked for %v: %w", alg, want, opts.HashFunc(), ErrUnsupported)
	}
	raw, err := c.signer.Sign(c.ctx, message)
	if err != nil {
		return nil, err
	}
	if alg == EdDSA {
		return raw, nil
	}
	if len(raw) != 2*coordinateSize(pub.(*ecdsa.PublicKey).Curve) {
		return nil, fmt.Errorf("%s signer returned %d bytes: %w", alg, len(raw), ErrSignature)
	}
	return RawToASN1(raw)
}

func hashOf(alg Algorithm) crypto.Hash {
	switch alg {
	case ES256:
		return crypto.SHA256
	case ES384:
		return crypto.SHA384
	case ES512:
		return crypto.SHA512
	}
	return 0 // Ed25519 hashes inside
}

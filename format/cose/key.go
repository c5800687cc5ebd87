package cose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/key"
)

// Labels and values of COSE_Key: RFC 9052, 7.1; RFC 9053, 7.
const (
	keyType  = 1
	keyCurve = -1
	keyX     = -2
	keyY     = -3

	typeOKP = 1
	typeEC2 = 2

	curveP256    = 1
	curveP384    = 2
	curveP521    = 3
	curveX25519  = 4
	curveEd25519 = 6
)

// keyLimits bound one COSE_Key; what we read has 150 bytes at most, the rest
// is room for members that are ignored.
var keyLimits = cbor.Limits{Size: 1 << 14, Depth: 6, Items: 128}

// members are the parts of a COSE_Key that are looked at.
type members struct {
	kty, crv       int64
	hasKty, hasCrv bool
	x, y           []byte
	ySign, hasSign bool
}

// ParseKey reads the public part of a COSE_Key: *ecdsa.PublicKey for EC2 on
// P-256, P-384 and P-521 (y as bstr or as sign bit), ed25519.PublicKey or
// *ecdh.PublicKey (X25519) for OKP. Other members, a private key among them,
// are ignored. The result does not alias raw.
//
// Errors wrap ErrKey, with key.ErrUnsupported for types and curves that are
// not ours. Coordinates must have the full size of the curve.
//
// RFC 9052, 7; RFC 9053, 7.1 and 7.2.
func ParseKey(raw []byte) (crypto.PublicKey, error) {
	m, err := parseMembers(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: COSE_Key: %w (RFC 9052, 7)", ErrKey, err)
	}
	pub, err := m.public()
	if err != nil {
		return nil, fmt.Errorf("%w: COSE_Key: %w (RFC 9053, 7)", ErrKey, err)
	}
	return pub, nil
}

// ParseECDHKey is ParseKey for key agreement: EC2 keys and X25519.
func ParseECDHKey(raw []byte) (*ecdh.PublicKey, error) {
	pub, err := ParseKey(raw)
	if err != nil {
		return nil, err
	}
	agree, err := key.ToECDH(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: COSE_Key: %w", ErrKey, err)
	}
	return agree, nil
}

func parseMembers(raw []byte) (members, error) {
	var m members
	r := cbor.ReadChecked(raw, keyLimits)
	r.Map(func() {
		if !isInt(r.Kind()) {
			r.Skip()
			r.Skip()
			return
		}
		switch r.Int() {
		case keyType:
			if isInt(r.Kind()) {
				m.kty, m.hasKty = r.Int(), true
				return
			}
		case keyCurve:
			if isInt(r.Kind()) {
				m.crv, m.hasCrv = r.Int(), true
				return
			}
		case keyX:
			if r.Kind() == cbor.KindBytes {
				m.x = r.Bytes()
				return
			}
		case keyY:
			switch r.Kind() {
			case cbor.KindBytes:
				m.y = r.Bytes()
				return
			case cbor.KindBool:
				m.ySign, m.hasSign = r.Bool(), true
				return
			}
		}
		r.Skip()
	})
	if err := r.Done(); err != nil {
		return m, err
	}
	if !m.hasKty {
		return m, fmt.Errorf("no kty that is an integer")
	}
	return m, nil
}

func (m *members) public() (crypto.PublicKey, error) {
	switch {
	case m.kty == typeEC2 && m.hasCrv:
		curve, err := nistCurve(m.crv)
		if err != nil {
			return nil, err
		}
		if m.hasSign {
			return decompress(curve, m.x, m.ySign)
		}
		return key.FromXY(curve, m.x, m.y)
	case m.kty == typeOKP && m.crv == curveEd25519:
		if len(m.x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("x of an Ed25519 key has %d bytes, not %d", len(m.x), ed25519.PublicKeySize)
		}
		return ed25519.PublicKey(append([]byte(nil), m.x...)), nil
	case m.kty == typeOKP && m.crv == curveX25519:
		return ecdh.X25519().NewPublicKey(m.x)
	}
	return nil, fmt.Errorf("%w: kty %d with curve %d", key.ErrUnsupported, m.kty, m.crv)
}

func nistCurve(crv int64) (elliptic.Curve, error) {
	switch crv {
	case curveP256:
		return elliptic.P256(), nil
	case curveP384:
		return elliptic.P384(), nil
	case curveP521:
		return elliptic.P521(), nil
	}
	return nil, fmt.Errorf("%w: EC2 curve %d", key.ErrUnsupported, crv)
}

// decompress finds the point of an x-coordinate and the sign bit of y.
//
// RFC 9053, 7.1.1; SEC 1, 2.3.4.
func decompress(curve elliptic.Curve, x []byte, sign bool) (*ecdsa.PublicKey, error) {
	size := (curve.Params().BitSize + 7) / 8
	if len(x) != size {
		return nil, fmt.Errorf("x has %d bytes, not %d", len(x), size)
	}
	point := make([]byte, 1+size, 1+2*size)
	point[0] = 2
	if sign {
		point[0] = 3
	}
	copy(point[1:], x)
	px, py := elliptic.UnmarshalCompressed(curve, point)
	if px == nil {
		return nil, fmt.Errorf("x is not on %s", curve.Params().Name)
	}
	return key.FromXY(curve, px.FillBytes(make([]byte, size)), py.FillBytes(make([]byte, size)))
}

// AppendKey appends a COSE_Key with the members 1, -1, -2 and -3 in this
// order, as ISO/IEC 18013-5 writes them. It takes *ecdsa.PublicKey,
// *ecdh.PublicKey and ed25519.PublicKey; else ErrKey.
//
// RFC 9052, 7; RFC 9053, 7.1.1 and 7.2.
func AppendKey(dst []byte, pub crypto.PublicKey) ([]byte, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if k == nil {
			break
		}
		crv, err := curveNumber(k.Curve)
		if err != nil {
			return dst, err
		}
		point, err := k.Bytes()
		if err != nil {
			return dst, fmt.Errorf("%w: %w", ErrKey, err)
		}
		return appendEC2(dst, crv, point), nil
	case *ecdh.PublicKey:
		if k == nil {
			break
		}
		switch k.Curve() {
		case ecdh.P256():
			return appendEC2(dst, curveP256, k.Bytes()), nil
		case ecdh.P384():
			return appendEC2(dst, curveP384, k.Bytes()), nil
		case ecdh.P521():
			return appendEC2(dst, curveP521, k.Bytes()), nil
		case ecdh.X25519():
			return appendOKP(dst, curveX25519, k.Bytes()), nil
		}
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return appendOKP(dst, curveEd25519, k), nil
		}
	}
	return dst, fmt.Errorf("%w: no COSE_Key for %T", ErrKey, pub)
}

func curveNumber(c elliptic.Curve) (int64, error) {
	switch c {
	case elliptic.P256():
		return curveP256, nil
	case elliptic.P384():
		return curveP384, nil
	case elliptic.P521():
		return curveP521, nil
	}
	return 0, fmt.Errorf("%w: %w", ErrKey, key.ErrUnsupported)
}

// appendEC2 takes an uncompressed point: 04 || x || y.
func appendEC2(dst []byte, crv int64, point []byte) []byte {
	size := (len(point) - 1) / 2
	dst = cbor.AppendMap(dst, 4)
	dst = cbor.AppendInt(cbor.AppendInt(dst, keyType), typeEC2)
	dst = cbor.AppendInt(cbor.AppendInt(dst, keyCurve), crv)
	dst = cbor.AppendBytes(cbor.AppendInt(dst, keyX), point[1:1+size])
	return cbor.AppendBytes(cbor.AppendInt(dst, keyY), point[1+size:])
}

func appendOKP(dst []byte, crv int64, x []byte) []byte {
	dst = cbor.AppendMap(dst, 3)
	dst = cbor.AppendInt(cbor.AppendInt(dst, keyType), typeOKP)
	dst = cbor.AppendInt(cbor.AppendInt(dst, keyCurve), crv)
	return cbor.AppendBytes(cbor.AppendInt(dst, keyX), x)
}

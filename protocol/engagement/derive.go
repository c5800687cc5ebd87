package engagement

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// derive is HKDF-SHA256 of EDeviceKeyBytes, tag included, without salt. The
// inputs that hkdf.Key refuses, too long an output, cannot occur here.
func (e *DeviceEngagement) derive(info string, size int) []byte {
	out, err := hkdf.Key(sha256.New, e.EDeviceKeyBytes, nil, info, size)
	if err != nil {
		panic("engagement: hkdf of a constant size: " + err.Error())
	}
	return out
}

// BLEIdent is the value of the Ident characteristic, by which an mdoc as
// central client knows that it found the reader that saw its engagement.
//
// ISO/IEC 18013-5:2021, 8.3.3.1.1.3.
func (e *DeviceEngagement) BLEIdent() [16]byte { return [16]byte(e.derive("BLEIdent", 16)) }

// NANService is the Wi-Fi Aware service name.
//
// ISO/IEC 18013-5:2021, 8.3.3.1.3.
func (e *DeviceEngagement) NANService() string {
	return strings.ToUpper(hex.EncodeToString(e.derive("NANService", 16)))
}

// NANPassphrase is the Wi-Fi Aware passphrase when the options have none.
//
// ISO/IEC 18013-5:2021, 8.3.3.1.3.
func (e *DeviceEngagement) NANPassphrase() string {
	return base64.RawURLEncoding.EncodeToString(e.derive("NANPassphrase", 32))
}

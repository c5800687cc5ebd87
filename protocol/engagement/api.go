package engagement

import "errors"

var errSoon = errors.New("not written yet")

// New writes a DeviceEngagement.
func New(o Options) (*DeviceEngagement, error) { return nil, errSoon }

// Parse reads a DeviceEngagement, strictly. It keeps raw, which must not change.
func Parse(raw []byte) (*DeviceEngagement, error) { return nil, errSoon }

// QR returns the text of the QR code: "mdoc:" and base64url without padding.
// ISO/IEC 18013-5:2021, 8.2.2.3.
func (e *DeviceEngagement) QR() string { return "" }

// ParseQR reads the text of a QR code.
func ParseQR(text string) (*DeviceEngagement, error) { return nil, errSoon }

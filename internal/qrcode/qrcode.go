// Package qrcode draws texts as QR codes. ISO/IEC 18004:2015.
package qrcode

import (
	"encoding/base64"
	"fmt"
	"strconv"

	"rsc.io/qr"
)

// quiet is the margin around a code, in modules. ISO/IEC 18004:2015, 6.3.8.
const quiet = 4

// scale is how many pixels wide a module is in a PNG.
const scale = 6

// Code is a text as a QR code.
type Code struct{ code *qr.Code }

// Screen returns the code of a text for a screen, where nothing gets dirty: as
// few modules as can be. The error is for a text that is too long.
func Screen(text string) (Code, error) { return encode(text, qr.L) }

// Paper returns the code of a text that a seventh of the picture may be lost of.
func Paper(text string) (Code, error) { return encode(text, qr.M) }

func encode(text string, level qr.Level) (Code, error) {
	c, err := qr.Encode(text, level)
	if err != nil {
		return Code{}, fmt.Errorf("QR code: %w", err)
	}
	c.Scale = scale
	return Code{c}, nil
}

// PNG is the code as a picture.
func (c Code) PNG() []byte { return c.code.PNG() }

// Size is the side of the drawing that Path belongs to, in modules.
func (c Code) Size() int { return c.code.Size + 2*quiet }

// Path draws the dark modules: the d of an SVG path, a stroke for each run, on a
// white square of Size. SVG 2, 9.3.
func (c Code) Path() string {
	b := make([]byte, 0, 16<<10)
	for y := range c.code.Size {
		for x := 0; x < c.code.Size; x++ {
			if !c.code.Black(x, y) {
				continue
			}
			from := x
			for c.code.Black(x+1, y) { // white beyond the edge
				x++
			}
			b = strconv.AppendInt(append(b, 'M'), int64(from+quiet), 10)
			b = strconv.AppendInt(append(b, ' '), int64(y+quiet), 10)
			b = strconv.AppendInt(append(b, 'h'), int64(x-from+1), 10)
			b = strconv.AppendInt(append(b, "v1H"...), int64(from+quiet), 10)
			b = append(b, 'z')
		}
	}
	return string(b)
}

// SVG is the code as a drawing that is sharp at every size.
func (c Code) SVG() []byte {
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path d="%[2]s"/></svg>`,
		c.Size(), c.Path())
}

// The kinds of pictures.
const (
	PNG = "png"
	SVG = "svg"
)

// DataURL is the code as part of an address. RFC 2397.
func (c Code) DataURL(kind string) string {
	if kind == SVG {
		return "data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(c.SVG())
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(c.PNG())
}

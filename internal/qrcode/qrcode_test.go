package qrcode

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/png"
	"strings"
	"testing"
)

// The drawing and the picture show the same modules.
func TestSameInBoth(t *testing.T) {
	for _, text := range []string{"a", "openid4vp://?client_id=x509_hash%3Aabc&request_uri=https%3A%2F%2Fverifier.example%2Fr"} {
		for _, make := range []func(string) (Code, error){Screen, Paper} {
			c, err := make(text)
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(c.PNG()))
			if err != nil {
				t.Fatal(err)
			}
			if img.Bounds().Dx() != c.Size()*scale {
				t.Fatalf("%d pixels for %d modules", img.Bounds().Dx(), c.Size())
			}
			dark := map[[2]int]bool{}
			for run := range strings.SplitSeq(strings.TrimPrefix(c.Path(), "M"), "M") {
				var x, y, n, back int
				if _, err := fmt.Sscanf(run, "%d %dh%dv1H%dz", &x, &y, &n, &back); err != nil || back != x {
					t.Fatalf("%q: %v", run, err)
				}
				for i := range n {
					dark[[2]int{x + i, y}] = true
				}
			}
			for y := range c.Size() {
				for x := range c.Size() {
					r, _, _, _ := img.At(x*scale, y*scale).RGBA()
					if (r == 0) != dark[[2]int{x, y}] {
						t.Fatalf("module %d, %d differs", x, y)
					}
				}
			}
			if err := xml.Unmarshal(c.SVG(), new(struct{})); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := Screen(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text that fits into no code")
	}
}

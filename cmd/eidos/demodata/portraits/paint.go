package main

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// Size of a portrait in pixels: 35 mm by 45 mm at 300 dots per inch.
const (
	width  = 413
	height = 531
)

// rgb is a colour, 0 to 1 each.
type rgb struct{ r, g, b float64 }

func hex(v uint32) rgb {
	return rgb{float64(v>>16&255) / 255, float64(v>>8&255) / 255, float64(v&255) / 255}
}

func (c rgb) mix(d rgb, t float64) rgb {
	return rgb{c.r + (d.r-c.r)*t, c.g + (d.g-c.g)*t, c.b + (d.b-c.b)*t}
}

func (c rgb) scale(f float64) rgb { return rgb{c.r * f, c.g * f, c.b * f} }

// shape is the distance of a point from an outline in pixels, negative inside.
type shape func(x, y float64) float64

// canvas is painted from back to front.
type canvas [height][width]rgb

// fill paints a shape in one colour; soft is how many pixels the edge takes.
func (c *canvas) fill(s shape, col rgb, alpha, soft float64) {
	c.shade(s, func(x, y float64) rgb { return col }, alpha, soft)
}

// shade paints a shape in a colour that depends on the place.
func (c *canvas) shade(s shape, col func(x, y float64) rgb, alpha, soft float64) {
	for j := range height {
		for i := range width {
			x, y := float64(i)+.5, float64(j)+.5
			d := s(x, y)
			if d >= soft {
				continue
			}
			t := 1.0
			if d > -soft {
				t = (soft - d) / (2 * soft)
				t = t * t * (3 - 2*t)
			}
			c[j][i] = c[j][i].mix(col(x, y), t*alpha)
		}
	}
}

// image adds the grain of a photograph.
func (c *canvas) image(seed uint64) image.Image {
	noise := rand.New(rand.NewPCG(seed, 5))
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for j := range height {
		for i := range width {
			n := noise.NormFloat64() * .009
			p := c[j][i]
			img.SetRGBA(i, j, color.RGBA{level(p.r + n), level(p.g + n), level(p.b + n*1.1), 255})
		}
	}
	return img
}

func level(v float64) uint8 { return uint8(math.Round(255 * max(0, min(1, v)))) }

// ellipse around (cx, cy).
func ellipse(cx, cy, rx, ry float64) shape {
	return func(x, y float64) float64 {
		u, v := (x-cx)/rx, (y-cy)/ry
		r := math.Hypot(u, v)
		if r == 0 {
			return -min(rx, ry)
		}
		g := math.Hypot(u/rx, v/ry) / r
		return (r - 1) / g
	}
}

// capsule is a stroke from a to b, thick at a and thin at b.
func capsule(ax, ay, bx, by, ra, rb float64) shape {
	return func(x, y float64) float64 {
		dx, dy := bx-ax, by-ay
		t := max(0, min(1, ((x-ax)*dx+(y-ay)*dy)/(dx*dx+dy*dy)))
		return math.Hypot(x-ax-t*dx, y-ay-t*dy) - (ra + (rb-ra)*t)
	}
}

// arc is a curved stroke: a parabola from x0 to x1 whose middle is bent by
// bend pixels downwards, of half width w, tapering to the ends.
func arc(x0, y0, x1, y1, bend, w float64) shape {
	return func(x, y float64) float64 {
		t := (x - x0) / (x1 - x0)
		s := max(0, min(1, t))
		line := y0 + (y1-y0)*s + bend*4*s*(1-s)
		slope := (y1-y0)/(x1-x0) + bend*4*(1-2*s)/(x1-x0)
		d := math.Abs(y-line)/math.Hypot(1, slope) - w*(.35+.65*math.Sqrt(4*s*(1-s)))
		return max(d, math.Abs(t-s)*math.Abs(x1-x0))
	}
}

// head is an egg: an ellipse whose lower half narrows towards the chin.
func head(cx, cy, rx, ry, jaw float64) shape {
	return func(x, y float64) float64 {
		v := (y - cy) / ry
		n := 1.0
		if v > 0 {
			n = max(.2, 1-jaw*v*v)
		}
		return ellipse(cx, cy, rx*n, ry)(x, y)
	}
}

func union(a ...shape) shape {
	return func(x, y float64) float64 {
		d := math.Inf(1)
		for _, s := range a {
			d = min(d, s(x, y))
		}
		return d
	}
}

func both(a, b shape) shape { return func(x, y float64) float64 { return max(a(x, y), b(x, y)) } }

func without(a, b shape) shape { return func(x, y float64) float64 { return max(a(x, y), -b(x, y)) } }

// below is everything under a line that is bent at its ends.
func below(y0, bend float64) shape {
	return func(x, y float64) float64 {
		t := (x - width/2) / 100
		return y0 + bend*t*t - y
	}
}

// ring is the outline of a shape with half width w.
func ring(s shape, w float64) shape {
	return func(x, y float64) float64 { return math.Abs(s(x, y)) - w }
}

// wavy makes an outline uneven, like curls.
func wavy(s shape, cx, cy, size, count float64) shape {
	return func(x, y float64) float64 {
		return s(x, y) + size*math.Sin(count*math.Atan2(y-cy, x-cx))
	}
}

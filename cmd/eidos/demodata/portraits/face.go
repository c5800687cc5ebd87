package main

import (
	"image"
	"math"
)

// face is what makes one person look unlike another.
type face struct {
	name                         string
	seed                         uint64
	background, skin, hair, iris rgb
	top, collar                  rgb
	rx, ry, jaw                  float64 // size of the head
	style                        style
	beard                        float64 // 0 none to 1 full
	glasses, freckles, earrings  bool
	lines                        float64 // of age, 0 to 1
	lips                         rgb
	brow                         float64 // half width of the eyebrows
	smile                        float64
	small                        float64 // a child's shoulders, 1 for adults
}

type style int

const (
	bald style = iota
	short
	sideParting
	long
	bob
	bun
	curls
	cropped
)

const (
	cx = width / 2
	cy = 250.0
)

// draw paints the person from back to front.
func (f face) draw() image.Image {
	c := new(canvas)
	f.rx, f.ry = f.rx*1.10, f.ry*1.10
	c.shade(func(x, y float64) float64 { return -100 }, func(x, y float64) rgb {
		return f.background.scale(1.06 - .18*math.Hypot((x-cx*.8)/width, (y-150)/height))
	}, 1, 1)
	f.backHair(c)
	f.body(c)
	f.skull(c)
	f.features(c)
	f.facialHair(c)
	f.frontHair(c)
	if f.glasses {
		f.drawGlasses(c)
	}
	return c.image(f.seed)
}

// lit is the skin under light from the upper left.
func (f face) lit(x, y float64) rgb {
	u, v := (x-cx)/f.rx, (y-cy)/f.ry
	light := 1.05 - .10*u - .09*v - .13*math.Pow(math.Abs(u), 3)
	base := f.skin.scale(light)
	cheek := math.Exp(-(math.Pow((math.Abs(u)-.52)/.26, 2) + math.Pow((v-.28)/.2, 2)))
	return base.mix(rgb{.86, .36, .32}.mix(f.skin, .35), .20*cheek)
}

// tress is hair with strands that follow the head.
func (f face) tress(x, y float64) rgb {
	a := math.Atan2(y-cy+40, x-cx)
	r := math.Hypot(x-cx, y-cy+40)
	bend := math.Sin(r/23+a*5)*.9 + math.Sin(a*13+float64(f.seed))*1.6
	strand := .5 + .5*math.Sin(a*46+bend*2)
	fine := .5 + .5*math.Sin(a*170+r/13+bend*3)
	shine := math.Exp(-math.Pow((y-(cy-f.ry*.82))/34, 2)) * math.Exp(-math.Pow((x-cx+35)/70, 2))
	return f.hair.scale(.88+.11*strand+.07*fine).mix(rgb{1, .97, .92}, .16*shine)
}

func (f face) backHair(c *canvas) {
	switch f.style {
	case long:
		s := union(ellipse(cx, cy-14, f.rx+34, f.ry+22), capsule(cx-f.rx-2, cy, cx-f.rx+4, cy+200, 36, 44), capsule(cx+f.rx+2, cy, cx+f.rx-4, cy+200, 36, 44))
		c.shade(func(x, y float64) float64 { return s(x+7*math.Sin(y/38), y) }, f.tress, 1, 1.5)
	case bob:
		s := union(ellipse(cx, cy-14, f.rx+30, f.ry+16), capsule(cx-f.rx+2, cy, cx-f.rx+6, cy+86, 32, 30), capsule(cx+f.rx-2, cy, cx+f.rx-6, cy+86, 32, 30))
		c.shade(s, f.tress, 1, 1.2)
	case bun:
		c.shade(wavy(ellipse(cx, cy-f.ry-24, 44, 38), cx, cy-f.ry-24, 1.5, 9), f.tress, 1, 1.2)
		c.shade(both(ellipse(cx, cy-16, f.rx+7, f.ry+4), func(x, y float64) float64 { return y - cy - 6 }), f.tress, 1, 3)
	case curls:
		s := wavy(ellipse(cx, cy-32, f.rx+40, f.ry+12), cx, cy-32, 5, 19)
		c.shade(s, f.tress, 1, 2)
	case short, sideParting, cropped:
		c.shade(ellipse(cx, cy-22, f.rx+7, f.ry+4), f.tress, 1, 1.2)
	}
}

// body paints neck, shoulders and clothes.
func (f face) body(c *canvas) {
	w := f.small
	shoulders := union(ellipse(cx, 590, 205*w, 158), capsule(cx-128*w, 508, cx+128*w, 508, 62, 62),
		capsule(cx, 442, cx-126*w, 492, 44, 46), capsule(cx, 442, cx+126*w, 492, 44, 46))
	neck := both(capsule(cx, cy+40, cx, 428, 43*w*f.rx/90, 50*w*f.rx/90), func(x, y float64) float64 { return y - 470 })
	cloth := func(x, y float64) rgb {
		weave := .5 + .5*math.Sin(x*1.35)*math.Sin(y*1.35)
		fold := math.Sin((x-cx)/26+math.Abs(x-cx)/40*math.Sin(y/60)) * .03
		return f.top.scale(1.06 - .0011*(x-cx) - .0009*(y-430) - .05*weave + fold)
	}
	c.fill(func(x, y float64) float64 { return shoulders(x-3, y-7) }, rgb{}, .16, 14)
	c.shade(shoulders, cloth, 1, 1)
	c.shade(neck, func(x, y float64) rgb {
		under := math.Exp(-math.Pow((y-(cy+f.ry+6))/34, 2))
		return f.lit(x, cy+30).scale(.95 - .20*under - .0012*(x-cx))
	}, 1, 1)
	opening := ellipse(cx, 404, 68*w, 58)
	collar := both(without(ellipse(cx, 408, 86*w, 72), opening), both(union(shoulders, neck), below(418, 0)))
	c.fill(func(x, y float64) float64 { return collar(x-2, y-4) }, rgb{}, .18, 5)
	c.shade(collar, func(x, y float64) rgb { return f.collar.scale(1.04 - .0012*(x-cx)) }, 1, 1)
}

// skull paints ears and the head.
func (f face) skull(c *canvas) {
	for _, side := range []float64{-1, 1} {
		if f.style == long || f.style == bob {
			break
		}
		x := cx + side*(f.rx+1)
		c.shade(ellipse(x, cy+12, 15, 30), func(x, y float64) rgb { return f.lit(cx+side*f.rx*.7, y).scale(.93) }, 1, 1)
		c.fill(ellipse(x+side*2, cy+10, 6, 16), f.skin.scale(.66), .38, 5)
		if f.earrings {
			c.fill(ellipse(x+side, cy+44, 4.2, 4.2), rgb{.93, .82, .46}, 1, 1)
			c.fill(ellipse(x+side-1.2, cy+42.8, 1.3, 1.3), rgb{1, 1, .95}, .9, 1)
		}
	}
	h := head(cx, cy, f.rx, f.ry, f.jaw)
	c.shade(h, f.lit, 1, 1)
	rim := both(h, func(x, y float64) float64 { return -h(x+9, y+4) - 6 })
	c.fill(rim, f.skin.scale(.55), .26, 9)
}

// features paints eyes, brows, nose and mouth.
func (f face) features(c *canvas) {
	dark := f.skin.scale(.48)
	eyeY, apart := cy+2, f.rx*.43
	for _, side := range []float64{-1, 1} {
		x := cx + side*apart
		c.fill(ellipse(x, eyeY-4, 30, 20), f.skin.scale(.62), .22, 12)
		lens := both(ellipse(x, eyeY+12, 25, 23), ellipse(x, eyeY-12, 25, 23))
		c.fill(lens, rgb{.955, .95, .94}, 1, 1)
		in := func(s shape) shape { return both(s, lens) }
		c.shade(in(ellipse(x, eyeY-1, 10, 10)), func(px, py float64) rgb {
			r := math.Hypot(px-x, py-eyeY+1) / 10
			ray := .9 + .1*math.Sin(18*math.Atan2(py-eyeY, px-x))
			return f.iris.scale((1.25 - .65*r*r) * ray)
		}, 1, .9)
		c.fill(in(ellipse(x, eyeY-1, 4.4, 4.4)), rgb{.03, .03, .04}, 1, .8)
		c.fill(ellipse(x-3.5, eyeY-4.5, 2.2, 2.2), rgb{1, 1, 1}, .95, .8)
		c.fill(both(lens, func(px, py float64) float64 { return py - (eyeY - 6) }), rgb{.1, .06, .05}, .30, 3)
		c.fill(arc(x-24, eyeY, x+24, eyeY, -11.5, 2.3), rgb{.11, .07, .06}, .92, 1)
		c.fill(arc(x-21, eyeY+2, x+21, eyeY+2, 9.5, .9), dark, .45, 1.2)
		c.fill(arc(x-23, eyeY-6, x+23, eyeY-7, -12, .9), dark, .42, 1.4)
		c.fill(arc(x-side*-28, eyeY-31, x+side*-24, eyeY-28, -9, f.brow), f.hair.scale(.62).mix(rgb{.15, .1, .08}, .2), .85, 2)
		if f.lines > 0 {
			c.fill(arc(x-20, eyeY+16, x+20, eyeY+16, 7, 1), dark, .42*f.lines, 2)
			for k := -1.0; k <= 1; k++ {
				c.fill(capsule(x+side*28, eyeY+2*k, x+side*39, eyeY+6*k, .7, .3), dark, .4*f.lines, 1.3)
			}
		}
	}
	f.nose(c, dark)
	f.mouth(c, dark)
	if f.lines > 0 {
		for k := range 3 {
			y := cy - f.ry*.52 - float64(k)*13
			c.fill(arc(cx-44, y, cx+44, y, -5, .9), dark, .32*f.lines, 2)
		}
	}
	if f.freckles {
		for k := range 46 {
			a, b := math.Sin(float64(k)*12.99)*43758.5, math.Sin(float64(k)*78.23)*12345.7
			x, y := cx+(a-math.Floor(a)-.5)*f.rx*1.25, cy+22+(b-math.Floor(b))*34
			c.fill(ellipse(x, y, 1.3, 1.2), rgb{.62, .36, .22}, .42, 1)
		}
	}
}

func (f face) nose(c *canvas, dark rgb) {
	tip := cy + f.ry*.34
	c.fill(capsule(cx+8, cy-6, cx+11, tip-6, 4, 7), f.skin.scale(.7), .26, 8)
	c.fill(capsule(cx-3, cy-4, cx-2, tip-8, 2.5, 5), rgb{1, .97, .92}, .16, 6)
	c.fill(ellipse(cx, tip, 19, 10), f.skin.scale(.82), .30, 8)
	c.fill(ellipse(cx-4, tip-7, 7, 6), rgb{1, .97, .93}, .22, 6)
	for _, side := range []float64{-1, 1} {
		c.fill(ellipse(cx+side*9, tip+4, 4.2, 2.4), dark.scale(.55), .75, 2)
		c.fill(capsule(cx+side*18, tip-6, cx+side*17, tip+4, 1.1, 1.1), dark, .36, 2.2)
		c.fill(capsule(cx+side*23, tip+6, cx+side*34, tip+30, 1.1, .6), dark, .13+.35*f.lines, 3)
	}
}

func (f face) mouth(c *canvas, dark rgb) {
	y := cy + f.ry*.60
	half := f.rx * .37
	lower := both(ellipse(cx, y-16, half*1.08, 30), below(y-1, 0))
	c.shade(lower, func(x, py float64) rgb { return f.lips.scale(1.08 - .014*(py-y)) }, .88, 1.6)
	c.fill(ellipse(cx-4, y+7, half*.4, 2.4), rgb{1, .95, .93}, .22, 3)
	upper := union(arc(cx-half, y-f.smile*.2, cx+2, y-3, -3, 3.4), arc(cx-2, y-3, cx+half, y-f.smile*.2, -3, 3.4))
	c.fill(upper, f.lips.scale(.86), .9, 1.6)
	c.fill(arc(cx-half-3, y-f.smile, cx+half+3, y-f.smile, f.smile, 1.3), dark.scale(.55), .85, 1.1)
	c.fill(ellipse(cx, y+22, half*.6, 4), f.skin.scale(.66), .30, 6)
	for _, side := range []float64{-1, 1} {
		c.fill(ellipse(cx+side*(half+5), y-f.smile, 4, 5), dark, .22, 4)
	}
}

func (f face) facialHair(c *canvas) {
	if f.beard == 0 {
		return
	}
	h := head(cx, cy, f.rx+2, f.ry+6*f.beard, f.jaw*.9)
	y := cy + f.ry*.60
	zone := both(h, below(cy+f.ry*.47, -50))
	zone = without(zone, ellipse(cx, y+2, f.rx*.40, 12))
	sides := both(h, both(below(cy+18, 0), func(x, py float64) float64 { return f.rx*.84 - math.Abs(x-cx) }))
	c.shade(union(zone, sides), func(x, y float64) rgb {
		hair := .5 + .5*math.Sin(x*1.9+math.Sin(y/5)*1.7)*math.Sin(y*.8+x*.2)
		return f.hair.scale(.72 + .36*hair)
	}, .30+.58*f.beard, 5)
}

func (f face) frontHair(c *canvas) {
	h := head(cx, cy, f.rx+6, f.ry+7, f.jaw)
	top := ellipse(cx, cy-18, f.rx+8, f.ry+7)
	switch f.style {
	case short:
		c.shade(without(both(top, func(x, y float64) float64 { return y - cy + 8 }), ellipse(cx+6, cy+14, f.rx*.90, f.ry*.80)), f.tress, 1, 3)
	case sideParting:
		fringe := without(both(top, func(x, y float64) float64 { return y - cy + 12 }), ellipse(cx+22, cy+30, f.rx*.98, f.ry*.88))
		c.shade(fringe, f.tress, 1, 1.5)
		c.fill(capsule(cx+36, cy-f.ry-12, cx+52, cy-f.ry+26, 1, .6), f.hair.scale(.5), .5, 1.5)
	case long:
		left := without(both(ellipse(cx-34, cy-30, f.rx-14, f.ry), h), ellipse(cx+18, cy+36, f.rx*.98, f.ry*1.02))
		right := without(both(ellipse(cx+44, cy-30, f.rx-22, f.ry), h), ellipse(cx-30, cy+36, f.rx*1.14, f.ry*1.02))
		c.shade(union(left, right, both(top, func(x, y float64) float64 { return y - cy + f.ry*.76 })), f.tress, 1, 1.5)
	case bob:
		fringe := both(top, func(x, y float64) float64 { return y - (cy - 44 + 2.2*math.Sin(x/7)) })
		c.shade(without(fringe, ellipse(cx, cy+60, f.rx*.86, f.ry*.74)), f.tress, 1, 1.3)
		for _, side := range []float64{-1, 1} {
			c.shade(capsule(cx+side*(f.rx-1), cy-50, cx+side*(f.rx-6), cy+84, 15, 17), f.tress, 1, 1.5)
		}
	case bun:
		c.shade(without(both(top, func(x, y float64) float64 { return y - cy + 30 }), ellipse(cx, cy+26, f.rx*.96, f.ry*.98)), f.tress, 1, 1.5)
	case curls:
		s := without(both(ellipse(cx, cy-34, f.rx+22, f.ry), func(x, y float64) float64 { return y - cy + 22 }), wavy(ellipse(cx, cy+30, f.rx*.92, f.ry*.94), cx, cy+30, 4, 21))
		c.shade(s, f.tress, 1, 2.2)
	case cropped:
		c.shade(without(both(ellipse(cx, cy-14, f.rx+3, f.ry+5), func(x, y float64) float64 { return y - cy + 26 }), ellipse(cx, cy+20, f.rx*.94, f.ry*.93)), f.tress, .92, 4)
	case bald:
		c.fill(ellipse(cx-26, cy-f.ry*.70, 30, 15), rgb{1, .97, .93}, .20, 14)
	}
}

func (f face) drawGlasses(c *canvas) {
	frame := rgb{.13, .12, .14}
	y, apart := cy+4, f.rx*.43
	for _, side := range []float64{-1, 1} {
		x := cx + side*apart
		lens := ellipse(x, y, 33, 26)
		c.fill(lens, rgb{.85, .93, 1}, .07, 1)
		c.fill(both(lens, capsule(x-24, y+12, x-2, y-24, 4, 4)), rgb{1, 1, 1}, .13, 3)
		c.fill(ring(lens, 1.9), frame, .95, 1)
		c.fill(capsule(x+side*33, y-4, cx+side*(f.rx+3), y-8, 2, 2), frame, .95, 1)
	}
	c.fill(arc(cx-apart+32, y-3, cx+apart-32, y-3, -5, 2.2), frame, .95, 1)
}

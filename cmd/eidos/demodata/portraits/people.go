package main

// faces are the invented people, by the identifiers of the register.
func faces() []face {
	return []face{
		{name: "ada", seed: 11, background: hex(0xcfd8e2), skin: hex(0xf0c6a8), hair: hex(0x6b4226), iris: hex(0x5f7f4c), top: hex(0x27496d), collar: hex(0xf4f1ea),
			rx: 88, ry: 117, jaw: .24, style: long, lips: hex(0xc4636a), brow: 3.2, smile: 5, small: .92, earrings: true, lines: .12},
		{name: "jonas", seed: 23, background: hex(0xd9dcd6), skin: hex(0xe9bfa3), hair: hex(0x9b9a97), iris: hex(0x54789c), top: hex(0x3f4a3c), collar: hex(0xe6e9ee),
			rx: 95, ry: 118, jaw: .14, style: sideParting, beard: .75, glasses: true, lines: .8, lips: hex(0xb5746b), brow: 4.6, smile: 3, small: 1},
		{name: "olena", seed: 37, background: hex(0xd8e2dc), skin: hex(0xf6d3bb), hair: hex(0xd9b36a), iris: hex(0x4e86b4), top: hex(0x8c2f39), collar: hex(0x8c2f39),
			rx: 85, ry: 115, jaw: .27, style: bun, lips: hex(0xc8505c), brow: 2.8, smile: 4, small: .9, earrings: true},
		{name: "yusuf", seed: 41, background: hex(0xdfd9cf), skin: hex(0xc99168), hair: hex(0x231a15), iris: hex(0x4a2f1b), top: hex(0x20232b), collar: hex(0xf2f2f2),
			rx: 93, ry: 120, jaw: .15, style: short, beard: 1, lines: .3, lips: hex(0xa3614f), brow: 5.2, smile: 3.5, small: 1.02},
		{name: "mei", seed: 53, background: hex(0xe3dde6), skin: hex(0xf3cfac), hair: hex(0x1d1a1e), iris: hex(0x3a241a), top: hex(0xe0b13c), collar: hex(0xe0b13c),
			rx: 88, ry: 112, jaw: .22, style: bob, lips: hex(0xcc6a6c), brow: 3, smile: 4.5, small: .88},
		{name: "leo", seed: 67, background: hex(0xcfe0ea), skin: hex(0xf7d5bf), hair: hex(0xb5532a), iris: hex(0x5a8f5b), top: hex(0x2f7f6f), collar: hex(0x256357),
			rx: 89, ry: 107, jaw: .16, style: short, lips: hex(0xcf8076), brow: 2.6, smile: 6, small: .80, freckles: true},
		{name: "rosa", seed: 79, background: hex(0xe4dcd3), skin: hex(0xe6b795), hair: hex(0xe4e2df), iris: hex(0x6a4a2f), top: hex(0x5b4a7d), collar: hex(0xded6ea),
			rx: 89, ry: 113, jaw: .20, style: curls, lines: 1, glasses: true, lips: hex(0xb8656a), brow: 2.4, smile: 5, small: .88, earrings: true},
		{name: "kwame", seed: 83, background: hex(0xd5dde5), skin: hex(0x7a4a2e), hair: hex(0x17110f), iris: hex(0x2b1a12), top: hex(0xf0efe9), collar: hex(0xc9d4df),
			rx: 92, ry: 118, jaw: .15, style: cropped, beard: .04, lips: hex(0x8a4a42), brow: 4.4, smile: 5, small: 1.03},
	}
}

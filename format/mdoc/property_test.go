package mdoc_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
)

// anyValue draws one encoded item.
func anyValue(t *rapid.T) []byte {
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return cbor.AppendInt(nil, rapid.Int64().Draw(t, "int"))
	case 1:
		return cbor.AppendText(nil, rapid.String().Draw(t, "text"))
	case 2:
		return cbor.AppendBytes(nil, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"))
	case 3:
		return cbor.AppendBool(nil, rapid.Bool().Draw(t, "bool"))
	case 4:
		return cbor.AppendFullDate(nil, cbor.FullDate{Year: 2000, Month: 1, Day: rapid.IntRange(1, 31).Draw(t, "day")})
	}
	b := cbor.AppendArray(nil, 2)
	return append(append(b, anyValue(t)...), anyValue(t)...)
}

func anyNameSpaces(t *rapid.T) []mdoc.NameSpace {
	name := rapid.StringN(1, 20, 80)
	out := make([]mdoc.NameSpace, 0, 3)
	for _, ns := range rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "name spaces") {
		ids := rapid.SliceOfNDistinct(name, 1, 40, rapid.ID[string]).Draw(t, "elements")
		elements := make([]mdoc.Element, len(ids))
		for i, id := range ids {
			elements[i] = mdoc.Element{ID: id, Value: anyValue(t)}
		}
		out = append(out, mdoc.NameSpace{Name: ns, Elements: elements})
	}
	return out
}

// Whatever is issued can be presented in part, and verifies to exactly the
// part that was presented.
func TestIssuePresentVerify(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	vp := a.verify(t, demoTranscript())
	rapid.Check(t, func(rt *rapid.T) {
		p := a.params(device.Public())
		p.NameSpaces = anyNameSpaces(rt)
		p.Decoys = rapid.IntRange(0, 5).Draw(rt, "decoys")
		p.DigestAlgorithm = rapid.SampledFrom([]string{"", mdoc.SHA256, mdoc.SHA384, mdoc.SHA512}).Draw(rt, "digest")
		stored, err := mdoc.Issue(t.Context(), p, a.key)
		if err != nil {
			rt.Fatal(err)
		}
		var wanted []mdoc.ElementRef
		var want []mdoc.NameSpace
		for _, ns := range p.NameSpaces {
			if ns.Name == mdoc.NameSpaceMDL {
				continue // its issuing_country would have to be the signer's
			}
			part := mdoc.NameSpace{Name: ns.Name}
			for _, e := range ns.Elements {
				if rapid.Bool().Draw(rt, "wanted") {
					wanted = append(wanted, mdoc.ElementRef{NameSpace: ns.Name, ID: e.ID})
					part.Elements = append(part.Elements, e)
				}
			}
			if part.Elements != nil {
				want = append(want, part)
			}
		}
		response := present(t, stored, device, demoTranscript(), wanted)
		d, err := mdoc.ParseDeviceResponse(response)
		if err != nil {
			rt.Fatal(err)
		}
		res, rep := mdoc.Verify(t.Context(), &d.Documents[0], vp)
		if !rep.OK() || !res.DeviceVerified {
			rt.Fatalf("report:\n%s", rep)
		}
		if len(want)+len(res.NameSpaces) > 0 {
			if diff := cmp.Diff(want, res.NameSpaces); diff != "" {
				rt.Fatal(diff)
			}
		}
		if rep := mdoc.Lint(stored); !rep.OK() {
			rt.Fatalf("lint:\n%s", rep)
		}

		// A byte anywhere in an item or the object changed: refused.
		doc := &d.Documents[0]
		regions := signedRegions(doc)
		region := regions[rapid.IntRange(0, len(regions)-1).Draw(rt, "region")]
		at := bytes.Index(response, region) + rapid.IntRange(0, len(region)-1).Draw(rt, "at")
		changed := slices.Clone(response)
		changed[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "xor"))
		if bad, err := mdoc.ParseDeviceResponse(changed); err == nil && len(bad.Documents) == 1 {
			if _, rep := mdoc.Verify(t.Context(), &bad.Documents[0], vp); rep.OK() {
				rt.Fatalf("byte %d changed and accepted", at)
			}
		}
	})
}

// What the straight path of the parser accepts, the general path accepts too
// and reads alike: an item with its members in another order says the same.
func TestItemPathsAgree(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	auth := func() []byte {
		s, err := mdoc.ParseIssuerSigned(a.issue(t, a.params(device.Public(), mdoc.Element{ID: "x", Value: []byte{0}})))
		if err != nil {
			t.Fatal(err)
		}
		return s.Auth.Sign1.Raw
	}()
	rapid.Check(t, func(rt *rapid.T) {
		id := uint64(rapid.Uint32Range(0, 1<<31-1).Draw(rt, "digestID"))
		salt := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "salt")
		name, value := rapid.StringN(1, 20, 80).Draw(rt, "name"), anyValue(rt)
		plain := b24(m("digestID", num(id), "random", str(salt), "elementIdentifier", text(name), "elementValue", value))
		mixed := b24(m("elementValue", value, "elementIdentifier", text(name), "random", str(salt), "digestID", num(id)))
		var got []mdoc.IssuerSignedItem
		for _, raw := range [][]byte{plain, mixed} {
			s, err := mdoc.ParseIssuerSigned(m("nameSpaces", m("ns", arr(raw)), "issuerAuth", auth))
			if err != nil {
				rt.Fatal(err)
			}
			it := s.NameSpaces[0].Items[0]
			it.Raw = nil
			got = append(got, it)
		}
		if diff := cmp.Diff(got[0], got[1]); diff != "" {
			rt.Fatal(diff)
		}
		// Damaged alike, both are refused alike.
		cut := rapid.IntRange(1, 3).Draw(rt, "cut")
		broken := b24(plain[headOf(plain) : len(plain)-cut])
		if _, err := mdoc.ParseIssuerSigned(m("nameSpaces", m("ns", arr(broken)), "issuerAuth", auth)); err == nil {
			rt.Fatal("a cut item is accepted")
		}
	})
}

// headOf is how long tag and head of an embedded item are.
func headOf(raw []byte) int {
	r := cbor.NewReader(raw)
	_, inner := r.Embedded()
	return len(raw) - len(inner)
}

// Name spaces with more elements than are compared one by one.
func TestManyElements(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	elements := make([]mdoc.Element, 300)
	for i := range elements {
		elements[i] = mdoc.Element{ID: fmt.Sprintf("element_%03d", i), Value: num(uint64(i))}
	}
	p := a.params(device.Public(), elements...)
	stored := a.issue(t, p)
	s, err := mdoc.ParseIssuerSigned(stored)
	if err != nil {
		t.Fatal(err)
	}
	if _, rep := mdoc.VerifyIssuerSigned(s, a.verify(t, nil)); !rep.OK() {
		t.Errorf("report:\n%s", rep)
	}
	p.NameSpaces[0].Elements[299].ID = "element_007"
	if _, err := mdoc.Issue(t.Context(), p, a.key); err == nil {
		t.Error("an element twice among many is issued")
	}
}

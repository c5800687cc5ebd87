package sdjwt_test

import (
	"crypto/elliptic"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
)

// anyNodes draws members or elements, with all policies and kinds.
func anyNodes(t *rapid.T, named bool, depth int) []sdjwt.Node {
	most := 6
	if depth > 2 {
		most = 2
	}
	n := rapid.IntRange(0, most).Draw(t, "n")
	var names []string
	if named {
		names = rapid.SliceOfNDistinct(rapid.StringN(1, 12, 40).Filter(func(s string) bool {
			return s != "_sd" && s != "..." && s != "_sd_alg" && s != "iat" && s != "vct" && s != "exp" && s != "nbf"
		}), n, n, rapid.ID[string]).Draw(t, "names")
	}
	out := make([]sdjwt.Node, n)
	for i := range out {
		node := &out[i]
		if named {
			node.Name = names[i]
		}
		node.SD = rapid.SampledFrom([]sdjwt.SD{sdjwt.Always, sdjwt.Never, sdjwt.Allowed, ""}).Draw(t, "sd")
		kinds := 6
		if depth > 3 {
			kinds = 4
		}
		var value any
		switch rapid.IntRange(0, kinds).Draw(t, "kind") {
		case 0:
			value = rapid.String().Draw(t, "text")
		case 1:
			value = rapid.Int32().Draw(t, "number")
		case 2:
			value = rapid.Bool().Draw(t, "bool")
		case 3:
			value = map[string]any{"a": []any{nil, "b"}, "c": map[string]any{}}
		case 4:
			value = nil
		case 5:
			node.Members = anyNodes(t, true, depth+1)
			continue
		default:
			node.Elements = anyNodes(t, false, depth+1)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		node.Value = text
	}
	return out
}

// visible is what a payload has to be if the claims at open are disclosed,
// computed apart from the package: nodes are objects and arrays of encoding/json.
func visible(nodes []sdjwt.Node, at sdjwt.Path, open func(sdjwt.Path) bool, member func(string, any), element func(any)) {
	for i, n := range nodes {
		path := append(at[:len(at):len(at)], any(i))
		if member != nil {
			path[len(path)-1] = n.Name
		}
		if n.SD != sdjwt.Never && !open(path) {
			continue
		}
		var value any
		switch {
		case n.Members != nil:
			m := map[string]any{}
			visible(n.Members, path, open, func(name string, v any) { m[name] = v }, nil)
			value = m
		case n.Elements != nil:
			list := []any{}
			visible(n.Elements, path, open, nil, func(v any) { list = append(list, v) })
			value = list
		default:
			if err := json.Unmarshal(n.Value, &value); err != nil {
				panic(err)
			}
		}
		if member != nil {
			member(n.Name, value)
		} else {
			element(value)
		}
	}
}

// places lists the paths of all nodes.
func places(nodes []sdjwt.Node, at sdjwt.Path, named bool) []sdjwt.Path {
	var out []sdjwt.Path
	for i, n := range nodes {
		path := append(at[:len(at):len(at)], any(i))
		if named {
			path[len(path)-1] = n.Name
		}
		out = append(out, path)
		out = append(out, places(n.Members, path, true)...)
		out = append(out, places(n.Elements, path, false)...)
	}
	return out
}

// within reports whether one path leads to the other or through it.
func within(a, b sdjwt.Path) bool {
	n := min(len(a), len(b))
	return a[:n].Equal(b[:n])
}

// Whatever is issued can be presented in part, and verifies to exactly the
// part that was presented.
func TestIssuePresentVerify(t *testing.T) {
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	rapid.Check(t, func(rt *rapid.T) {
		claims := anyNodes(rt, true, 0)
		p := a.params(holder, claims...)
		p.Decoys = rapid.IntRange(0, 3).Draw(rt, "decoys")
		p.DigestAlgorithm = rapid.SampledFrom([]string{"", "sha-256", "sha-384", "sha-512"}).Draw(rt, "hash")
		stored, err := sdjwt.Issue(t.Context(), p, a.key)
		if err != nil {
			rt.Fatal(err)
		}
		var wanted []sdjwt.Path
		for _, path := range places(claims, nil, true) {
			if rapid.IntRange(0, 3).Draw(rt, "wanted") == 0 {
				wanted = append(wanted, path)
			}
		}
		presentation, err := sdjwt.Select(stored, wanted)
		if err != nil {
			rt.Fatal(err)
		}
		if err := presentation.Sign(t.Context(), binding, holder); err != nil {
			rt.Fatal(err)
		}
		shown, err := sdjwt.Parse(presentation.String(), sdjwt.Limits{})
		if err != nil {
			rt.Fatal(err)
		}
		res, report := sdjwt.Verify(shown, a.verify())
		if !report.OK() {
			rt.Fatalf("refused:\n%s", report)
		}
		want := map[string]any{}
		visible(claims, nil, func(path sdjwt.Path) bool {
			for _, w := range wanted {
				if within(path, w) {
					return true
				}
			}
			return false
		}, func(name string, v any) { want[name] = v }, nil)
		var got map[string]any
		if err := json.Unmarshal(res.Payload.JSON(), &got); err != nil {
			rt.Fatal(err)
		}
		for _, name := range []string{"vct", "iat", "nbf", "exp", "cnf", "status"} {
			delete(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("visible (-want +got):\n%s", diff)
		}
		for _, path := range wanted { // as positions were issued
			if sel, err := res.Payload.Select(path); err != nil || len(sel) != 1 || !sel[0].Path.Equal(path) {
				rt.Fatalf("%s selects %v, %v", path, sel, err)
			}
		}
	})
}

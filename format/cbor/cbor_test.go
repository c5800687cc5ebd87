package cbor_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/internal/vectors"
	fx "github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"
)

type vectorCase struct {
	ID        string `json:"id"`
	Hex       string `json:"hex"`
	Class     string `json:"class"`
	Roundtrip bool   `json:"roundtrip"`
}

type vectorFile struct {
	Data struct {
		Cases []vectorCase `json:"cases"`
	} `json:"data"`
}

func cases(t testing.TB, name string) []vectorCase {
	t.Helper()
	var f vectorFile
	vectors.Load(t, name, &f)
	if len(f.Data.Cases) == 0 {
		t.Fatalf("%s holds no cases", name)
	}
	return f.Data.Cases
}

// TestAppendixA: every example of RFC 8949, appendix A is accepted, walked
// verbatim by the Reader, and those that round-trip come out of a generic
// decode and encode as the same bytes.
func TestAppendixA(t *testing.T) {
	for _, c := range cases(t, "cbor/appendix_a.json") {
		if c.Hex == "f818" {
			continue // simple(24) in two bytes: an example of RFC 7049 that RFC 8949, 3.3 made ill-formed
		}
		data := vectors.Hex(t, c.Hex)
		if err := cbor.Check(data, cbor.Limits{}); err != nil {
			t.Errorf("%s: %v", c.Hex, err)
			continue
		}
		r := cbor.NewReader(data)
		if raw := r.Raw(); r.Done() != nil || !bytes.Equal(raw, data) {
			t.Errorf("%s: Reader.Raw gives %x, %v", c.Hex, raw, r.Err())
		}
		var v any
		if err := cbor.Unmarshal(data, &v); err != nil {
			t.Errorf("%s: %v", c.Hex, err)
		}
	}
}

// TestMalformed: RFC 8949, appendix F.
func TestMalformed(t *testing.T) {
	for _, c := range cases(t, "cbor/rfc8949_appendix_f_malformed.json") {
		data := vectors.Hex(t, c.Hex)
		if err := cbor.Check(data, cbor.Limits{}); err == nil {
			t.Errorf("%s (%s) accepted", c.Hex, c.Class)
		}
		var v any
		if err := cbor.Unmarshal(data, &v); err == nil {
			t.Errorf("%s (%s) decoded to %v", c.Hex, c.Class, v)
		}
	}
}

func TestStrictness(t *testing.T) {
	want := map[string][]error{
		"dup":      {cbor.ErrDuplicateKey},
		"invalid":  {cbor.ErrInvalid},
		"trailing": {cbor.ErrTrailing},
		"empty":    {cbor.ErrTruncated},
		"dos":      {cbor.ErrTruncated, cbor.ErrTooDeep},
	}
	for _, c := range cases(t, "cbor/derived_strictness.json") {
		err := cbor.Check(vectors.Hex(t, c.Hex), cbor.Limits{})
		errs, reject := want[c.Class]
		if !reject {
			if err != nil {
				t.Errorf("%s: %v", c.ID, err)
			}
			continue
		}
		found := false
		for _, e := range errs {
			found = found || errors.Is(err, e)
		}
		if !found {
			t.Errorf("%s: error %v, want one of %v", c.ID, err, errs)
		}
	}
}

func TestLimits(t *testing.T) {
	arr := cbor.AppendArray(nil, 100)
	for range 100 {
		arr = cbor.AppendNull(arr)
	}
	for _, c := range []struct {
		lim  cbor.Limits
		want error
	}{
		{cbor.Limits{Size: len(arr) - 1}, cbor.ErrTooLarge},
		{cbor.Limits{Size: len(arr)}, nil},
		{cbor.Limits{Items: 100}, cbor.ErrTooMany},
		{cbor.Limits{Items: 101}, nil},
	} {
		if err := cbor.Check(arr, c.lim); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.lim, err, c.want)
		}
	}
	nested := append(bytes.Repeat([]byte{0x81}, 3), 0x01)
	if err := cbor.Check(nested, cbor.Limits{Depth: 2}); !errors.Is(err, cbor.ErrTooDeep) {
		t.Errorf("three levels at depth 2: %v", err)
	}
	if err := cbor.Check(nested, cbor.Limits{Depth: 3}); err != nil {
		t.Errorf("three levels at depth 3: %v", err)
	}
}

// TestDuplicateInLargeMap crosses from comparing one by one to hashing.
func TestDuplicateInLargeMap(t *testing.T) {
	build := func(n int, last uint64) []byte {
		m := cbor.AppendMap(nil, n)
		for i := range n - 1 {
			m = cbor.AppendNull(cbor.AppendUint(m, uint64(i)))
		}
		return cbor.AppendNull(cbor.AppendUint(m, last))
	}
	for _, n := range []int{2, 23, 24, 25, 26, 300} {
		if err := cbor.Check(build(n, uint64(n)), cbor.Limits{}); err != nil {
			t.Errorf("%d distinct keys: %v", n, err)
		}
		for _, dup := range []uint64{0, uint64(n-1) / 2, uint64(n) - 2} {
			if err := cbor.Check(build(n, dup), cbor.Limits{}); !errors.Is(err, cbor.ErrDuplicateKey) {
				t.Errorf("%d keys with %d twice: %v", n, dup, err)
			}
		}
	}
}

func TestReaderErrors(t *testing.T) {
	r := cbor.NewReader([]byte{0x01, 0x61, 0x61})
	if s := r.Text(); s != "" || !errors.Is(r.Err(), cbor.ErrType) {
		t.Errorf("text over an integer: %q, %v", s, r.Err())
	}
	if n := r.Uint(); n != 0 {
		t.Errorf("a Reader goes on after an error: %d", n)
	}
	r = cbor.NewReader([]byte{0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	if r.Int(); !errors.Is(r.Err(), cbor.ErrType) {
		t.Errorf("-2^64 as int64: %v", r.Err())
	}
	r = cbor.NewReader([]byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	r.Array(func(int) {})
	if r.Err() == nil {
		t.Error("array of 2^63 items read without taking any")
	}
	r = cbor.NewReader([]byte{0x83, 1, 2, 3})
	r.ArrayOf(4)
	if !errors.Is(r.Err(), cbor.ErrInvalid) {
		t.Errorf("array of 3 as array of 4: %v", r.Err())
	}
}

func TestIndefinite(t *testing.T) {
	// {_ "a": [_ 1, 2], "b": (_ h'01', h'02')}
	data, _ := hex.DecodeString("bf61619f0102ff61625f41014102ffff")
	r := cbor.ReadChecked(data, cbor.Limits{})
	var sum uint64
	var chunks []byte
	r.Map(func() {
		switch r.Text() {
		case "a":
			r.Array(func(int) { sum += r.Uint() })
		case "b":
			chunks = r.Bytes()
		}
	})
	if err := r.Done(); err != nil || sum != 3 || !bytes.Equal(chunks, []byte{1, 2}) {
		t.Fatalf("sum %d, chunks %x, %v", sum, chunks, err)
	}
}

func TestDates(t *testing.T) {
	d, err := cbor.ParseFullDate("2019-10-20")
	if err != nil {
		t.Fatal(err)
	}
	want := "d903ec6a323031392d31302d3230" // as in ISO/IEC 18013-5:2021, D.2.1
	if got := hex.EncodeToString(cbor.AppendFullDate(nil, d)); got != want {
		t.Errorf("full-date %s, want %s", got, want)
	}
	for _, s := range []string{"2019-02-30", "2019-1-1", "2019-10-20T00:00:00Z", ""} {
		if _, err := cbor.ParseFullDate(s); err == nil {
			t.Errorf("%q accepted as full-date", s)
		}
	}
	at := time.Date(2020, 10, 1, 13, 30, 2, 999, time.UTC)
	enc := cbor.AppendTDate(nil, at)
	if got, want := hex.EncodeToString(enc), "c074323032302d31302d30315431333a33303a30325a"; got != want {
		t.Errorf("tdate %s, want %s", got, want)
	}
	r := cbor.NewReader(enc)
	if got, plain := r.TDate(); r.Done() != nil || !plain || !got.Equal(at.Truncate(time.Second)) {
		t.Errorf("tdate read as %v, %v, %v", got, plain, r.Err())
	}
	for s, plain := range map[string]bool{
		"2020-10-01T13:30:02Z": true, "2020-10-01T13:30:02.5Z": false, "2020-10-01T15:30:02+02:00": false,
	} {
		r := cbor.NewReader(cbor.AppendText([]byte{0xc0}, s))
		if _, p := r.TDate(); r.Err() != nil || p != plain {
			t.Errorf("%s: plain %v, %v", s, p, r.Err())
		}
	}
	for _, s := range []string{"2020-02-30T13:30:02Z", "2020-10-01", "2020-13-01T00:00:00Z", "20x0-10-01T13:30:02Z"} {
		r := cbor.NewReader(cbor.AppendText([]byte{0xc0}, s))
		if r.TDate(); r.Err() == nil {
			t.Errorf("%q accepted as tdate", s)
		}
	}
}

// TestIntegers: what Append writes, the Reader reads, in the shortest form.
func TestIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Int64().Draw(t, "v")
		enc := cbor.AppendInt(nil, v)
		r := cbor.ReadChecked(enc, cbor.Limits{})
		if got := r.Int(); r.Done() != nil || got != v {
			t.Fatalf("%d came back as %d, %v", v, got, r.Err())
		}
		ref, err := fx.Marshal(v)
		if err != nil || !bytes.Equal(ref, enc) {
			t.Fatalf("%d is %x here, %x by another encoder", v, enc, ref)
		}
		if v >= 0 && cbor.HeadSize(uint64(v)) != len(enc) {
			t.Fatalf("HeadSize(%d) = %d, encoded in %d", v, cbor.HeadSize(uint64(v)), len(enc))
		}
	})
	if got := cbor.AppendInt(nil, math.MinInt64); hex.EncodeToString(got) != "3b7fffffffffffffff" {
		t.Errorf("MinInt64 = %x", got)
	}
}

// FuzzCheck: what Check accepts, the Reader walks to the end and the
// reflection decoder does not reject for its form.
func FuzzCheck(f *testing.F) {
	for _, name := range []string{"cbor/appendix_a.json", "cbor/rfc8949_appendix_f_malformed.json", "cbor/derived_strictness.json"} {
		for _, c := range cases(f, name) {
			f.Add(vectors.Hex(f, c.Hex))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := cbor.Check(data, cbor.Limits{}); err != nil {
			return
		}
		r := cbor.NewReader(data)
		if raw := r.Raw(); r.Done() != nil || !bytes.Equal(raw, data) {
			t.Fatalf("checked, but the Reader says %v", r.Err())
		}
		if _, err := cbor.Diagnose(data); err != nil {
			t.Fatalf("checked, but diagnostic notation fails: %v", err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	// About the shape of a response: 6 items of 100 bytes and a portrait.
	m := cbor.AppendMap(nil, 8)
	for i := range 7 {
		m = cbor.AppendBytes(cbor.AppendUint(m, uint64(i)), make([]byte, 100))
	}
	m = cbor.AppendBytes(cbor.AppendUint(m, 7), make([]byte, 20<<10))
	b.ReportAllocs()
	for b.Loop() {
		if err := cbor.Check(m, cbor.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

package status

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/jose"
)

// Compressed is a list as tokens carry it.
//
//	StatusList = { "bits": 1 / 2 / 4 / 8, "lst": bstr, ? "aggregation_uri": tstr }
//
// Token Status List, 4.2 and 4.3.
type Compressed struct {
	Bits           int
	Data           []byte // ZLIB format, RFC 1950
	AggregationURI string // where all lists of the issuer are listed; may be empty
}

// level is that of zlib's own default. The highest, which Token Status List,
// 4.1 recommends, takes ten times as long and saves a tenth where one document
// in a hundred is revoked.
const level = 6

// Compress returns the list in the ZLIB format.
//
// Token Status List, 4.1, step 4.
func (l *List) Compress() (Compressed, error) {
	var out bytes.Buffer
	w, _ := writers.Get().(*zlib.Writer) // half a megabyte each
	if w == nil {
		var err error
		if w, err = zlib.NewWriterLevel(&out, level); err != nil {
			return Compressed{}, fmt.Errorf("compressing a status list: %w", err)
		}
	} else {
		w.Reset(&out)
	}
	if _, err := w.Write(l.data); err != nil {
		return Compressed{}, fmt.Errorf("compressing a status list: %w", err)
	}
	if err := w.Close(); err != nil {
		return Compressed{}, fmt.Errorf("compressing a status list: %w", err)
	}
	w.Reset(io.Discard)
	writers.Put(w)
	return Compressed{Bits: l.bits, Data: out.Bytes()}, nil
}

var writers, readers sync.Pool // of *zlib.Writer and *inflater

// inflater is a reader of zlib streams that is used again and again.
type inflater struct {
	in  bytes.Reader
	z   io.ReadCloser // nil before the first
	out []byte
}

func (i *inflater) reset(data []byte) (err error) {
	i.in.Reset(data)
	if i.z == nil {
		i.z, err = zlib.NewReader(&i.in)
		return err
	}
	return i.z.(zlib.Resetter).Reset(&i.in, nil)
}

// release makes the inflater available again, unless it has grown beyond what
// usual lists need.
func (i *inflater) release() {
	const usual = 1 << 20
	if cap(i.out) > usual {
		i.out = nil
	}
	i.in.Reset(nil) // lets go of the data
	readers.Put(i)
}

// Inflate returns the list. It refuses bytes after the compressed stream, an
// empty list, and more than maxBytes inflated bytes (at most, and if zero,
// MaxListBytes) with ErrTooLarge.
func (c Compressed) Inflate(maxBytes int) (*List, error) {
	if err := checkBits(c.Bits); err != nil {
		return nil, err
	}
	if maxBytes <= 0 || maxBytes > MaxListBytes {
		maxBytes = MaxListBytes
	}
	i, _ := readers.Get().(*inflater)
	if i == nil {
		i = &inflater{}
	}
	defer i.release()
	if err := i.reset(c.Data); err != nil {
		return nil, fmt.Errorf("%w: lst: %w (Token Status List, 4.1)", ErrMalformed, err)
	}
	data, err := i.readUpTo(maxBytes + 1)
	if err != nil {
		return nil, fmt.Errorf("%w: lst: %w (Token Status List, 4.1)", ErrMalformed, err)
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%w: inflates to more than %d bytes", ErrTooLarge, maxBytes)
	}
	if i.in.Len() > 0 {
		return nil, fmt.Errorf("%w: lst: %d bytes after the end of the compressed list", ErrMalformed, i.in.Len())
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%w: lst: the list is empty", ErrMalformed)
	}
	return &List{bits: c.Bits, data: bytes.Clone(data)}, nil
}

// readUpTo reads to the end or limit bytes. The result is valid until the next
// call.
func (i *inflater) readUpTo(limit int) ([]byte, error) {
	for n := 0; ; {
		if n == len(i.out) {
			i.out = append(i.out, make([]byte, max(n, 16<<10))...)
		}
		got, err := i.z.Read(i.out[n:min(len(i.out), limit)])
		n += got
		switch {
		case errors.Is(err, io.EOF) || err == nil && n == limit:
			return i.out[:n], nil
		case err != nil:
			return nil, err
		}
	}
}

// AppendCBOR appends the StatusList map.
//
// Token Status List, 4.3.
func (c Compressed) AppendCBOR(dst []byte) []byte {
	n := 2
	if c.AggregationURI != "" {
		n = 3
	}
	dst = cbor.AppendMap(dst, n)
	dst = cbor.AppendUint(cbor.AppendText(dst, "bits"), uint64(c.Bits))
	dst = cbor.AppendBytes(cbor.AppendText(dst, "lst"), c.Data)
	if c.AggregationURI != "" {
		dst = cbor.AppendText(cbor.AppendText(dst, "aggregation_uri"), c.AggregationURI)
	}
	return dst
}

// ParseCompressed reads one StatusList map. Data is a window into raw.
//
// Token Status List, 4.3.
func ParseCompressed(raw []byte) (Compressed, error) {
	r := cbor.ReadChecked(raw, cbor.Limits{Items: 64, Depth: 8})
	c := readCompressed(r)
	if err := r.Done(); err != nil {
		return Compressed{}, fmt.Errorf("%w: status_list: %w (Token Status List, 4.3)", ErrMalformed, err)
	}
	return c, nil
}

// readCompressed leaves its error in the reader.
func readCompressed(r *cbor.Reader) Compressed {
	var c Compressed
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "bits":
			c.Bits = smallInt(r)
		case "lst":
			c.Data = r.Bytes()
		case "aggregation_uri":
			c.AggregationURI = r.Text()
		default:
			r.Skip()
		}
	})
	if r.Err() == nil {
		if err := checkBits(c.Bits); err != nil {
			r.Fail(err)
		} else if c.Data == nil {
			r.Failf("status_list has no lst")
		}
	}
	return c
}

// smallInt takes an unsigned integer; what does not fit a byte becomes -1,
// which no caller accepts.
func smallInt(r *cbor.Reader) int {
	v := r.Uint()
	if v > 255 {
		return -1
	}
	return int(v)
}

// compressedJSON is the form of Token Status List, 4.2.
type compressedJSON struct {
	Bits           int    `json:"bits"`
	List           string `json:"lst"`
	AggregationURI string `json:"aggregation_uri,omitempty"`
}

// MarshalJSON writes the StatusList object.
//
// Token Status List, 4.2.
func (c Compressed) MarshalJSON() ([]byte, error) {
	return json.Marshal(compressedJSON{c.Bits, jose.Encode(c.Data), c.AggregationURI})
}

// UnmarshalJSON reads the StatusList object.
//
// Token Status List, 4.2.
func (c *Compressed) UnmarshalJSON(data []byte) error {
	var j compressedJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("%w: status_list: %w (Token Status List, 4.2)", ErrMalformed, err)
	}
	if err := checkBits(j.Bits); err != nil {
		return err
	}
	lst, err := jose.Decode(j.List)
	if err != nil {
		return fmt.Errorf("%w: lst: %w (Token Status List, 4.2)", ErrMalformed, err)
	}
	*c = Compressed{j.Bits, lst, j.AggregationURI}
	return nil
}

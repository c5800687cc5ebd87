package jose

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/eidos-id/eidos/format/key"
)

// The content encryption algorithms (RFC 7518, 5.3).
const (
	A128GCM = "A128GCM"
	A192GCM = "A192GCM"
	A256GCM = "A256GCM"
)

// EncryptOptions says for whom and how to encrypt.
type EncryptOptions struct {
	Recipient JWK    // on P-256, P-384, P-521 or X25519; its KID becomes "kid" when KID is empty
	Enc       string // A128GCM, A192GCM or A256GCM
	APU, APV  []byte // agreement PartyUInfo and PartyVInfo, decoded; optional
	Typ, CTY  string // optional
	KID       string // optional
	Zip       bool   // compress with DEFLATE; never for what mixes secrets with an attacker's text
}

// maxPlaintext bounds what a compressed message may grow to, and with it what
// is accepted at all.
const maxPlaintext = 16 << 20

// Encrypt makes a JWE in compact serialisation with ECDH-ES in direct key
// agreement mode and a fresh ephemeral key (RFC 7518, 4.6; RFC 8037, 3.2).
// The initialisation vector is random; with a key used once it never repeats.
func Encrypt(plaintext []byte, o EncryptOptions) (string, error) {
	jwe, err := EncryptInPlace(slices.Clone(plaintext), o)
	return string(jwe), err
}

// EncryptInPlace is Encrypt for large messages that are needed no more: what is
// in the memory of plaintext afterwards is not specified. With room for 16 more
// bytes in it there is one copy less.
func EncryptInPlace(plaintext []byte, o EncryptOptions) ([]byte, error) {
	if keySize(o.Enc) == 0 {
		return nil, fmt.Errorf("JWE \"enc\" %q: %w", o.Enc, ErrUnsupported)
	}
	if err := o.Recipient.Agrees(); err != nil {
		return nil, fmt.Errorf("JWE recipient: %w", err)
	}
	peer, err := key.ToECDH(o.Recipient.Key)
	if err != nil {
		return nil, fmt.Errorf("JWE recipient: %w", err)
	}
	ephemeral, err := peer.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("JWE ephemeral key: %w", err)
	}
	z, err := ephemeral.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("JWE key agreement: %w", err)
	}
	epk, err := key.FromECDH(ephemeral.PublicKey())
	if err != nil {
		return nil, fmt.Errorf("JWE ephemeral key: %w", err)
	}
	header := JWEHeader{Alg: algECDHES, Enc: o.Enc, Typ: o.Typ, CTY: o.CTY, KID: o.KID, EPK: JWK{Key: epk}, APU: o.APU, APV: o.APV}
	if header.KID == "" {
		header.KID = o.Recipient.KID
	}
	if o.Zip {
		header.Zip = zipDeflate
		if plaintext, err = deflate(plaintext); err != nil {
			return nil, err
		}
	}
	protected, err := header.marshal()
	if err != nil {
		return nil, err
	}
	iv := make([]byte, ivSize)
	rand.Read(iv) // never fails (Go 1.24)
	return seal(protected, contentKey(z, o.Enc, o.APU, o.APV), iv, plaintext)
}

const (
	algECDHES  = "ECDH-ES"
	zipDeflate = "DEF"
	ivSize     = 12 // RFC 7518, 5.3
	tagSize    = 16
)

// seal encrypts and joins the five parts, of which the encrypted key is empty
// (RFC 7516, 5.1 and 7.1). The encoded header is the additional data. It
// encrypts in the memory of plaintext.
func seal(protected, cek, iv, plaintext []byte) ([]byte, error) {
	aead, err := gcm(cek)
	if err != nil {
		return nil, err
	}
	head := AppendEncode(nil, protected)
	sealed := aead.Seal(plaintext[:0], iv, plaintext, head)
	body, tag := sealed[:len(plaintext)], sealed[len(plaintext):]
	out := make([]byte, 0, len(head)+4+rawURL.EncodedLen(len(iv))+rawURL.EncodedLen(len(body))+rawURL.EncodedLen(len(tag)))
	out = append(out, head...)
	out = append(out, '.', '.')
	out = append(AppendEncode(out, iv), '.')
	out = append(AppendEncode(out, body), '.')
	return AppendEncode(out, tag), nil
}

func (h *JWEHeader) marshal() ([]byte, error) {
	w := newObject(300)
	w.text("alg", h.Alg)
	w.text("enc", h.Enc)
	w.text("zip", h.Zip)
	w.text("typ", h.Typ)
	w.text("cty", h.CTY)
	w.text("kid", h.KID)
	epk, err := h.EPK.MarshalJSON()
	if err != nil {
		return nil, err
	}
	w.raw("epk", epk)
	w.text("apu", Encode(h.APU))
	w.text("apv", Encode(h.APV))
	return w.finish(h.Raw, "alg", "enc", "zip", "typ", "cty", "kid", "epk", "apu", "apv", "crit")
}

// keySize is the size of the content encryption key in bytes, 0 for algorithms
// that are not ours.
func keySize(enc string) int {
	switch enc {
	case A128GCM:
		return 16
	case A192GCM:
		return 24
	case A256GCM:
		return 32
	}
	return 0
}

// contentKey is the Concat KDF of NIST SP 800-56A, 5.8.1 with SHA-256 as
// RFC 7518, 4.6.2 fills it in for direct key agreement. One round is enough:
// no key is longer than a digest.
func contentKey(z []byte, enc string, apu, apv []byte) []byte {
	size := keySize(enc)
	in := binary.BigEndian.AppendUint32(nil, 1) // the round
	in = append(in, z...)
	in = appendData(in, []byte(enc)) // AlgorithmID
	in = appendData(in, apu)
	in = appendData(in, apv)
	in = binary.BigEndian.AppendUint32(in, uint32(8*size)) // SuppPubInfo; SuppPrivInfo is empty
	sum := sha256.Sum256(in)
	return sum[:size]
}

// appendData appends the length in 32 bits and the data.
func appendData(dst, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(data))), data...)
}

func gcm(cek []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// JWE is an encrypted message as it was received: parsed, not yet decrypted.
type JWE struct {
	Header JWEHeader

	protected []byte // as received
	iv        []byte
	sealed    []byte // ciphertext and tag
}

// JWEHeader is the protected header of an encrypted message (RFC 7516, 4.1).
type JWEHeader struct {
	Alg, Enc      string
	Typ, CTY, KID string
	Zip           string // "" or "DEF"
	EPK           JWK    // ephemeral public key
	APU, APV      []byte // decoded, nil if absent

	// Raw holds the members that have no field above, each as its JSON text.
	Raw map[string]json.RawMessage
}

// ParseJWE reads a JWE in compact serialisation (RFC 7516, 7.1) with the
// default limits. It refuses every "alg" but ECDH-ES, every "enc" but AES-GCM,
// "crit", and ephemeral keys off their curve.
func ParseJWE(token string) (*JWE, error) {
	limits := Limits{Token: maxPlaintext / 3 * 4}.withDefaults()
	if len(token) > limits.Token {
		return nil, fmt.Errorf("JWE of %d bytes, limit %d: %w", len(token), limits.Token, ErrMalformed)
	}
	if n := strings.Count(token, "."); n != 4 {
		return nil, fmt.Errorf("JWE of %d parts, not 5: %w", n+1, ErrMalformed)
	}
	parts := strings.Split(token, ".")
	j := &JWE{protected: []byte(parts[0])}
	var err error
	if j.Header, err = parseJWEHeader(parts[0], limits); err != nil {
		return nil, fmt.Errorf("JWE header: %w", err)
	}
	if parts[1] != "" { // RFC 7516, 5.2, step 10
		return nil, fmt.Errorf("JWE with an encrypted key in direct key agreement: %w", ErrMalformed)
	}
	if j.iv, err = Decode(parts[2]); err != nil || len(j.iv) != ivSize {
		return nil, fmt.Errorf("JWE initialisation vector is not %d bytes: %w", ivSize, ErrMalformed)
	}
	body, err := Decode(parts[3])
	if err != nil {
		return nil, fmt.Errorf("JWE ciphertext: %w", err)
	}
	tag, err := Decode(parts[4])
	if err != nil || len(tag) != tagSize {
		return nil, fmt.Errorf("JWE tag is not %d bytes: %w", tagSize, ErrMalformed)
	}
	j.sealed = append(body, tag...)
	return j, nil
}

func parseJWEHeader(encoded string, limits Limits) (JWEHeader, error) {
	m, err := protectedMembers([]byte(encoded), limits)
	if err != nil {
		return JWEHeader{}, err
	}
	var h JWEHeader
	err = m.takeStrings(stringMember{"alg", &h.Alg}, stringMember{"enc", &h.Enc}, stringMember{"zip", &h.Zip},
		stringMember{"typ", &h.Typ}, stringMember{"cty", &h.CTY}, stringMember{"kid", &h.KID})
	if err != nil {
		return JWEHeader{}, err
	}
	if h.Alg != algECDHES || keySize(h.Enc) == 0 || (h.Zip != "" && h.Zip != zipDeflate) {
		return JWEHeader{}, fmt.Errorf("\"alg\" %q, \"enc\" %q, \"zip\" %q: %w",
			abbreviate(h.Alg), abbreviate(h.Enc), abbreviate(h.Zip), ErrUnsupported)
	}
	raw, ok := m["epk"]
	if !ok {
		return JWEHeader{}, fmt.Errorf("without \"epk\": %w", ErrMalformed)
	}
	delete(m, "epk")
	epk, err := ParseJWK(raw)
	if err != nil {
		return JWEHeader{}, fmt.Errorf("\"epk\": %w", err)
	}
	if _, err := key.ToECDH(epk.Key); err != nil {
		return JWEHeader{}, fmt.Errorf("\"epk\": %w", err)
	}
	h.EPK = *epk
	var errU, errV error
	h.APU, errU = m.takeBytes("apu")
	h.APV, errV = m.takeBytes("apv")
	if err := errors.Join(errU, errV); err != nil {
		return JWEHeader{}, err
	}
	h.Raw = m
	return h, nil
}

// Decrypt returns the plaintext, which the caller owns. A key on another
// curve, another key and a changed message are all ErrDecrypt; compressed
// messages that grow beyond 16 MiB are ErrMalformed. Errors of the agreer
// itself are wrapped.
func (j *JWE) Decrypt(ctx context.Context, agreer key.Agreer) ([]byte, error) {
	return j.DecryptAtMost(ctx, agreer, maxPlaintext)
}

// DecryptAtMost is Decrypt for who expects no more than so many bytes: a
// compressed message that grows beyond is ErrMalformed, and was not held in
// memory.
func (j *JWE) DecryptAtMost(ctx context.Context, agreer key.Agreer, most int) ([]byte, error) {
	epk, err := key.ToECDH(j.Header.EPK.Key)
	if err != nil {
		return nil, fmt.Errorf("JWE \"epk\": %w", err)
	}
	if mine := agreer.Public().Curve(); epk.Curve() != mine {
		return nil, fmt.Errorf("JWE \"epk\" on %v, the key on %v: %w", epk.Curve(), mine, ErrDecrypt)
	}
	z, err := agreer.Agree(ctx, epk)
	if err != nil {
		return nil, fmt.Errorf("JWE key agreement: %w", err)
	}
	aead, err := gcm(contentKey(z, j.Header.Enc, j.Header.APU, j.Header.APV))
	if err != nil {
		return nil, fmt.Errorf("JWE: %w", err)
	}
	plaintext, err := aead.Open(nil, j.iv, j.sealed, j.protected)
	if err != nil {
		return nil, fmt.Errorf("JWE: %w", ErrDecrypt)
	}
	if j.Header.Zip == zipDeflate {
		return inflate(plaintext, most)
	}
	return plaintext, nil
}

// compressors are *flate.Writer, which are large. What is compressed is mostly
// base64 that does not repeat within the 32 KiB that are looked back: better
// levels take four times as long for 2 to 7 % less.
var compressors = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is known
	}
	return w
}}

// deflate compresses (RFC 7516, 4.1.3; RFC 1951).
func deflate(plaintext []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(len(plaintext)*3/4 + 1<<10)
	w := compressors.Get().(*flate.Writer)
	w.Reset(&b)
	_, errWrite := w.Write(plaintext)
	if err := errors.Join(errWrite, w.Close()); err != nil {
		return nil, fmt.Errorf("JWE compression: %w", err)
	}
	compressors.Put(w)
	return b.Bytes(), nil
}

func inflate(data []byte, most int) ([]byte, error) {
	in := bytes.NewReader(data)
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(in), int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("JWE compression: %w: %w", ErrMalformed, err)
	}
	if len(out) > most {
		return nil, fmt.Errorf("JWE grows beyond %d bytes: %w", most, ErrMalformed)
	}
	if in.Len() > 0 {
		return nil, fmt.Errorf("JWE with %d bytes after the compressed data: %w", in.Len(), ErrMalformed)
	}
	return out, nil
}

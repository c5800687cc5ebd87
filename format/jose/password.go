package jose

import (
	"bytes"
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strings"
)

// algPassword derives the key that wraps the content key from a password.
// RFC 7518, 4.8.
const algPassword = "PBES2-HS256+A128KW"

const (
	// passwordRounds is what OWASP asks of PBKDF2 with SHA-256 since 2023;
	// RFC 7518, 4.8.1.2 has at least 1000.
	passwordRounds = 600_000
	// maxPasswordRounds bounds the work that a file can ask for.
	maxPasswordRounds = 5_000_000
	minPasswordRounds = 1000
	passwordSalt      = 16 // bytes; RFC 7518, 4.8.1.1 has at least 8
)

// EncryptWithPassword makes a JWE in compact serialisation that whoever knows
// the password can read: PBES2-HS256+A128KW and A128GCM, with a content key
// and a salt of its own. typ is optional.
//
// RFC 7518, 4.8 and 5.3.
func EncryptWithPassword(plaintext []byte, password, typ string) (string, error) {
	salt, cek, iv := make([]byte, passwordSalt), make([]byte, keySize(A128GCM)), make([]byte, ivSize)
	for _, b := range [][]byte{salt, cek, iv} {
		rand.Read(b) // never fails (Go 1.24)
	}
	kek, err := passwordKey(password, salt, passwordRounds)
	if err != nil {
		return "", err
	}
	wrapped, err := wrapKey(kek, cek)
	if err != nil {
		return "", err
	}
	header := newObject(200)
	header.text("alg", algPassword)
	header.text("enc", A128GCM)
	header.text("typ", typ)
	header.text("p2s", Encode(salt))
	header.raw("p2c", fmt.Append(nil, passwordRounds))
	protected, err := header.finish(nil)
	if err != nil {
		return "", err
	}
	out, err := seal(protected, cek, iv, bytes.Clone(plaintext))
	if err != nil {
		return "", err
	}
	// Behind the header stands the encrypted key, which seal leaves empty.
	head, rest, _ := strings.Cut(string(out), ".")
	return head + "." + Encode(wrapped) + rest, nil
}

// DecryptWithPassword reads what EncryptWithPassword made, and the same of
// others with A128GCM, A192GCM or A256GCM. A wrong password and a changed
// message are both ErrDecrypt.
func DecryptWithPassword(token, password string) ([]byte, error) {
	limits := Limits{Token: maxPlaintext / 3 * 4}.withDefaults()
	if len(token) > limits.Token {
		return nil, fmt.Errorf("JWE of %d bytes, limit %d: %w", len(token), limits.Token, ErrMalformed)
	}
	if n := strings.Count(token, "."); n != 4 {
		return nil, fmt.Errorf("JWE of %d parts, not 5: %w", n+1, ErrMalformed)
	}
	parts := strings.Split(token, ".")
	enc, salt, rounds, err := passwordHeader(parts[0], limits)
	if err != nil {
		return nil, fmt.Errorf("JWE header: %w", err)
	}
	var raw [4][]byte
	for i, part := range parts[1:] {
		if raw[i], err = Decode(part); err != nil {
			return nil, fmt.Errorf("JWE: %w", err)
		}
	}
	wrapped, iv, body, tag := raw[0], raw[1], raw[2], raw[3]
	if len(wrapped) != keySize(enc)+8 || len(iv) != ivSize || len(tag) != tagSize {
		return nil, fmt.Errorf("JWE parts have the wrong sizes for %s: %w", enc, ErrMalformed)
	}
	kek, err := passwordKey(password, salt, rounds)
	if err != nil {
		return nil, err
	}
	cek, err := unwrapKey(kek, wrapped)
	if err != nil {
		return nil, fmt.Errorf("JWE: %w", err)
	}
	aead, err := gcm(cek)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, iv, append(body, tag...), []byte(parts[0]))
	if err != nil {
		return nil, fmt.Errorf("JWE: %w", ErrDecrypt)
	}
	return plaintext, nil
}

func passwordHeader(encoded string, limits Limits) (enc string, salt []byte, rounds int, err error) {
	m, err := protectedMembers([]byte(encoded), limits)
	if err != nil {
		return "", nil, 0, err
	}
	var alg, zip string
	if err = m.takeStrings(stringMember{"alg", &alg}, stringMember{"enc", &enc}, stringMember{"zip", &zip}); err != nil {
		return "", nil, 0, err
	}
	if alg != algPassword || keySize(enc) == 0 || zip != "" {
		return "", nil, 0, fmt.Errorf("\"alg\" %q, \"enc\" %q, \"zip\" %q: %w", abbreviate(alg), abbreviate(enc), abbreviate(zip), ErrUnsupported)
	}
	if salt, err = m.takeBytes("p2s"); err != nil {
		return "", nil, 0, err
	}
	if err = m.take("p2c", &rounds); err != nil {
		return "", nil, 0, err
	}
	if len(salt) < 8 || rounds < minPasswordRounds || rounds > maxPasswordRounds {
		return "", nil, 0, fmt.Errorf("\"p2s\" of %d bytes, \"p2c\" %d: wanted at least 8, and from %d to %d: %w",
			len(salt), rounds, minPasswordRounds, maxPasswordRounds, ErrMalformed)
	}
	return enc, salt, rounds, nil
}

// passwordKey is PBKDF2 as RFC 7518, 4.8.1.1 salts it.
func passwordKey(password string, salt []byte, rounds int) ([]byte, error) {
	salt = append(append([]byte(algPassword), 0), salt...)
	kek, err := pbkdf2.Key(sha256.New, password, salt, rounds, 16)
	if err != nil {
		return nil, fmt.Errorf("derive a key from the password: %w", err)
	}
	return kek, nil
}

// wrapIV is the initial value of RFC 3394, 2.2.3.1.
const wrapIV = 0xa6a6a6a6a6a6a6a6

// wrapKey is AES Key Wrap of a key of n·8 bytes. RFC 3394, 2.2.1.
func wrapKey(kek, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	n := len(plain) / 8
	out := append(make([]byte, 8), plain...)
	var b [16]byte
	a := uint64(wrapIV)
	for t := 1; t <= 6*n; t++ {
		r := out[8*((t-1)%n+1):][:8]
		binary.BigEndian.PutUint64(b[:], a)
		copy(b[8:], r)
		block.Encrypt(b[:], b[:])
		a = binary.BigEndian.Uint64(b[:]) ^ uint64(t)
		copy(r, b[8:])
	}
	binary.BigEndian.PutUint64(out, a)
	return out, nil
}

// unwrapKey is the way back; ErrDecrypt if the key is not the one.
// RFC 3394, 2.2.2.
func unwrapKey(kek, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, fmt.Errorf("wrapped key of %d bytes: %w", len(wrapped), ErrMalformed)
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	n := len(wrapped)/8 - 1
	out := bytes.Clone(wrapped[8:])
	var b [16]byte
	a := binary.BigEndian.Uint64(wrapped)
	for t := 6 * n; t > 0; t-- {
		r := out[8*((t-1)%n):][:8]
		binary.BigEndian.PutUint64(b[:], a^uint64(t))
		copy(b[8:], r)
		block.Decrypt(b[:], b[:])
		a = binary.BigEndian.Uint64(b[:])
		copy(r, b[8:])
	}
	binary.BigEndian.PutUint64(b[:], a)
	binary.BigEndian.PutUint64(b[8:], wrapIV)
	if subtle.ConstantTimeCompare(b[:8], b[8:]) != 1 {
		return nil, ErrDecrypt
	}
	return out, nil
}

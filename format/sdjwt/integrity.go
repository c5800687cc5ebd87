package sdjwt

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"
)

// Integrity is the integrity value of a document with SHA-256, for
// "vct#integrity" and the like: "sha256-" and base64.
//
// SD-JWT VC draft 18, 5; W3C Subresource Integrity, 3.
func Integrity(document []byte) string {
	sum := sha256.Sum256(document)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// CheckIntegrity compares a document with an integrity value. Of the hashes in
// it those with the strongest algorithm count, and one of them has to match.
// The error is [ErrIntegrity], or [ErrMetadata] if none of the algorithms is
// known.
//
// SD-JWT VC draft 18, 5; W3C Subresource Integrity, 3.3.
func CheckIntegrity(integrity string, document []byte) error {
	algorithm, values, err := strongest(integrity)
	if err != nil {
		return err
	}
	var sum []byte
	switch algorithm {
	case "sha256":
		s := sha256.Sum256(document)
		sum = s[:]
	case "sha384":
		s := sha512.Sum384(document)
		sum = s[:]
	default:
		s := sha512.Sum512(document)
		sum = s[:]
	}
	for _, text := range values {
		// A value that is no base64 matches nothing.
		if want, err := base64.StdEncoding.Strict().DecodeString(text); err == nil && bytes.Equal(want, sum) {
			return nil
		}
	}
	return fmt.Errorf("%w: its %s is another (SD-JWT VC draft 18, 5)", ErrIntegrity, algorithm)
}

const maxIntegrity = 4 << 10

// strongest returns the values of the strongest algorithm in an integrity
// value.
func strongest(integrity string) (algorithm string, values []string, err error) {
	if len(integrity) > maxIntegrity {
		return "", nil, fmt.Errorf("%w: integrity value of %d bytes, at most %d", ErrLimit, len(integrity), maxIntegrity)
	}
	for _, expression := range strings.Fields(integrity) {
		expression, _, _ = strings.Cut(expression, "?") // options, of which none are defined
		alg, value, ok := strings.Cut(expression, "-")
		if !ok || alg != "sha256" && alg != "sha384" && alg != "sha512" {
			continue
		}
		switch { // the names sort by strength
		case alg > algorithm:
			algorithm, values = alg, []string{value}
		case alg == algorithm:
			values = append(values, value)
		}
	}
	if algorithm == "" {
		return "", nil, fmt.Errorf("%w: integrity value without sha256, sha384 or sha512 (W3C Subresource Integrity, 3.2)", ErrMetadata)
	}
	return algorithm, values, nil
}

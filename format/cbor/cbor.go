// Package cbor reads and writes CBOR the way mobile documents need it: strict
// on input, preferred serialisation with definite lengths on output, and never
// a second encoding of bytes that are hashed or signed.
//
// There are three ways in. [Check] looks once over bytes from outside, before
// anything else touches them: exactly one well-formed item, no duplicate map
// keys, valid text, within [Limits]. [Reader] then walks the item without
// reflection. [Unmarshal] fills Go values by reflection, for what is not hot.
//
// The Append functions write one item head each onto a caller's buffer, in the
// order the caller wants: mobile documents write their maps in the order of
// the CDDL, not in key order.
//
// RFC 8949; ISO/IEC 18013-5 second edition (draft v4), 8.3.
package cbor

import (
	"errors"
	"fmt"
	"sync"

	fx "github.com/fxamacker/cbor/v2"
)

// Errors that tell malformed input from hostile input. They are wrapped with
// the offset and what was found there.
var (
	ErrTruncated    = errors.New("cbor: input ends in the middle of an item (RFC 8949, appendix F)")
	ErrTrailing     = errors.New("cbor: bytes after the end of the item (RFC 8949, appendix F)")
	ErrMalformed    = errors.New("cbor: not well-formed (RFC 8949, appendix F)")
	ErrInvalid      = errors.New("cbor: not valid (RFC 8949, 5.3.1)")
	ErrDuplicateKey = errors.New("cbor: duplicate map key (RFC 8949, 5.6)")
	ErrTooLarge     = errors.New("cbor: input larger than the limit")
	ErrTooDeep      = errors.New("cbor: nested deeper than the limit (RFC 8949, 10)")
	ErrTooMany      = errors.New("cbor: more items than the limit")
	ErrType         = errors.New("cbor: item of another type than expected")
)

// Limits bound what [Check] accepts. A zero field means the default.
type Limits struct {
	// Size is the most bytes an input may have. Default 4 MiB: a document of
	// 30 elements with portrait, signature and biometric template stays under
	// 200 KiB, and a response may hold several.
	Size int
	// Depth is how deep arrays, maps and tags may nest. Default 32; the
	// deepest structure of ISO/IEC 18013-5 nests 12 levels.
	Depth int
	// Items is how many data items of all kinds there may be. Default 65536.
	Items int
}

func (l Limits) withDefaults() Limits {
	if l.Size == 0 {
		l.Size = 4 << 20
	}
	if l.Depth == 0 {
		l.Depth = 32
	}
	if l.Items == 0 {
		l.Items = 1 << 16
	}
	return l
}

// RawMessage is one encoded item, kept as it is.
type RawMessage = fx.RawMessage

// Tag is a tagged item in generic data, as [Unmarshal] into an any gives it.
type Tag = fx.Tag

type modes struct {
	dec  fx.DecMode
	diag fx.DiagMode
}

// codec builds the modes once. The options are constants, so an error would be
// a defect of this file.
var codec = sync.OnceValue(func() modes {
	dec, err := fx.DecOptions{
		DupMapKey:        fx.DupMapKeyEnforcedAPF,
		MaxNestedLevels:  64,
		MaxArrayElements: 1 << 20,
		MaxMapPairs:      1 << 20,
		UTF8:             fx.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic("cbor: internal error: " + err.Error())
	}
	diag, err := fx.DiagOptions{
		ByteStringEncoding:     fx.ByteStringBase16Encoding,
		ByteStringEmbeddedCBOR: false,
		MaxNestedLevels:        64,
	}.DiagMode()
	if err != nil {
		panic("cbor: internal error: " + err.Error())
	}
	return modes{dec, diag}
})

// Unmarshal checks data with the default limits and decodes it into v by
// reflection. Slices in v do not alias data.
func Unmarshal(data []byte, v any) error {
	if err := Check(data, Limits{}); err != nil {
		return err
	}
	if err := codec().dec.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrType, err)
	}
	return nil
}

// Diagnose is data in the diagnostic notation of RFC 8949, 8, for people and
// golden files.
func Diagnose(data []byte) (string, error) {
	if err := Check(data, Limits{}); err != nil {
		return "", err
	}
	s, err := codec().diag.Diagnose(data)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return s, nil
}

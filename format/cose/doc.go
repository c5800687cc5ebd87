// Package cose reads and writes the three COSE objects that mobile documents
// are made of: COSE_Sign1, COSE_Mac0 and COSE_Key.
//
// Input may be tagged or untagged, its protected header is kept verbatim and
// never encoded again, and everything is checked strictly before any
// cryptography: the algorithm must be in the protected header, must be one of
// the few listed here, and must be the one that fits the key.
//
// RFC 9052; RFC 9053; RFC 9360 (x5chain, x5t); RFC 9596 (type); RFC 9864
// (fully-specified algorithms).
package cose

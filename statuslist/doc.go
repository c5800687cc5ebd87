// Package statuslist is what issuers, providers and verifiers need around
// status lists: indexes that nobody can link, tokens ready to publish, and a
// reader's cache that also works with the network unplugged.
//
// draft-ietf-oauth-status-list-20 ("Token Status List" below); ISO/IEC 18013-5
// second edition (draft v4), 12.3.6.
package statuslist

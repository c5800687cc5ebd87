// Package status reads and writes what says whether a document is still good:
// Token Status Lists, identifier lists, the signed tokens that carry either,
// and the references to them inside documents.
//
// draft-ietf-oauth-status-list-20 ("Token Status List" below); ISO/IEC 18013-5
// second edition (draft v4), 12.3.6.
package status

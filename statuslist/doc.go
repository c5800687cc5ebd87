// Package statuslist is what issuers, providers and verifiers need around
// status lists: indexes that nobody can link, tokens ready to publish, and a
// reader's cache that also works with the network unplugged.
//
// draft-ietf-oauth-status-list-20 ("Token Status List" below); ISO/IEC 18013-5
// second edition (draft v4), 12.3.6.
//
// # No revocation is lost
//
// What a document's status is stands in the rows of its role and nowhere else.
// A list is built from these rows each time it is signed; no packed copy is
// kept that could miss a change. The transaction that changes rows also calls
// [Changed], which raises the version of the list, so either both happen or
// neither does. From then on the list is due until an edition of that version
// is stored: whoever crashes in between leaves it due, and the upkeep of any
// process signs it ([Board.PublishDue]).
//
// An edition is stored under the version that was read before the rows were.
// Transactions are serializable and later ones see what earlier ones
// committed, so it has every change up to that version; changes that came
// while it was made are in it or make the list due again. An edition replaces
// the stored one only if its version is higher, or the same and its iat later.
// So of two processes that sign at the same time the one that knew less loses,
// whatever their order, and serves what the other one stored. No edition has
// an earlier iat than the one before, else readers would take it for a replay.
//
// Reading the rows takes as long as there are documents that are not valid.
// One bitset, changed in place, would be read faster, but every revocation
// would then write all of it, and wait for every other.
package statuslist

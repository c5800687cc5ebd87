// Package oauth is the authorisation that issuing documents needs, both ends:
// pushed authorisation requests (RFC 9126), PKCE (RFC 7636), authorisation
// code and pre-authorized code, DPoP with server nonces (RFC 9449), client
// authentication by attestation (draft-ietf-oauth-attestation-based-client-auth-07)
// or by private_key_jwt (RFC 7523, 2.2), the iss response parameter (RFC 9207)
// and server metadata (RFC 8414), as OpenID4VCI 1.0 and HAIP 1.0 profile them.
//
// [Server] is the authorisation server and the guard of resource endpoints;
// [Client] is the wallet. Neither does I/O: the server takes requests and
// returns responses as values of internal/fetch and keeps what must be
// remembered in an [once.Store] bound to the caller's transaction; the client
// is given a [fetch.Func]. Time is passed in.
//
// How a role uses the server: NewServer once for each tenant; for each request
// it opens a transaction and calls, with the store of that transaction,
//
//	PAR endpoint            Push
//	authorisation endpoint  Authorize; then, for the same browser session, Approve or Refuse
//	token endpoint          Token
//	challenge endpoint      Challenge
//	credential endpoints    CheckAccess, and goes on with the Grant
//	making an offer         Offer
//
// commits, and sends the Reply. The well-known URL serves Metadata.
//
// There are no bearer tokens, no clients with secrets and no implicit grant.
package oauth

// Package oauth is the authorisation that issuing documents needs, both ends:
// pushed authorisation requests (RFC 9126), PKCE (RFC 7636), authorisation
// code and pre-authorized code, DPoP with server nonces (RFC 9449), client
// authentication by attestation (draft-ietf-oauth-attestation-based-client-auth-07),
// the iss response parameter (RFC 9207) and server metadata (RFC 8414), as
// OpenID4VCI 1.0 and HAIP 1.0 profile them.
//
// [Server] is the authorisation server and the guard of resource endpoints;
// [Client] is the wallet. Neither does I/O: the server takes requests and
// returns responses as values of internal/fetch and keeps what must be
// remembered in an [once.Store] bound to the caller's transaction; the client
// is given a [fetch.Func]. Time is passed in.
//
// There are no bearer tokens, no clients with secrets, no implicit grant and
// no refresh tokens.
package oauth

// Package attestation is how an installation of the mdoc app becomes known,
// and how others recognise it: the conversation between the app and its
// provider, both ends, and the two statements that come out of it.
//
// A wallet instance attestation says that a genuine app holds a key; the app
// authenticates with it to authorisation servers (OpenID4VCI 1.0, Appendix E;
// draft-ietf-oauth-attestation-based-client-auth-07). A key attestation says
// where keys live and what guards their use (OpenID4VCI 1.0, Appendix D).
// Both carry the status claims of EUDI TS3 1.5, so that an issuer can follow
// the revocation of the instance for as long as its documents live.
//
// # The conversation
//
// No standard covers the road between app and provider (EUDI TS3, 1.2), so
// this one is ours. BASE is the provider's URL of one wallet product. Every
// request but the first is a JWT signed by the instance key, sent as
// application/jwt, with the claims aud = BASE, iat and challenge; it is good
// once and for the lifetime of its challenge.
//
//	POST BASE/challenge                → 200 {"challenge": "…", "expires_in": 300}
//	POST BASE/instances                InstallRequest         → 201 InstallResponse
//	POST BASE/instances/ID/attestation RenewRequest           → 200 InstallResponse
//	POST BASE/instances/ID/keys        KeyAttestationRequest  → 200 KeyAttestationResponse
//
// A refusal is {"error": "…", "error_description": "…"} with one of the Code
// constants and status 400, 403, 404, 409 or 413.
//
// Like all of protocol the package does no I/O of its own: requests and
// responses are values of internal/fetch, single-use things are claimed in an
// [once.Store] that the caller binds to its transaction, and time is passed in.
package attestation

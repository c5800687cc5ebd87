package web

import (
	"net/http"
	"strings"
)

// Headers of the conversations of OpenID4VCI 1.0, RFC 9449 and
// draft-ietf-oauth-attestation-based-client-auth: what pages of other origins
// may send, and what they may read of an answer.
const (
	corsAllowed = "Authorization, Content-Type, DPoP, OAuth-Client-Attestation, OAuth-Client-Attestation-PoP"
	corsExposed = "DPoP-Nonce, OAuth-Client-Attestation-Challenge, Retry-After, WWW-Authenticate"
)

// CORS opens a handler to pages of all origins, for apps that run in a browser:
// without cookies, since the answer to every origin forbids them. It is for what
// knows its callers by nothing that a browser adds on its own; never for pages
// or what a session protects. It answers OPTIONS itself, for these methods.
//
// Fetch Standard, 3.2.
func CORS(h http.Handler, methods ...string) http.Handler {
	allow := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Access-Control-Allow-Origin", "*")
		if r.Method != http.MethodOptions {
			head.Set("Access-Control-Expose-Headers", corsExposed)
			h.ServeHTTP(w, r)
			return
		}
		head.Set("Access-Control-Allow-Methods", allow)
		head.Set("Access-Control-Allow-Headers", corsAllowed)
		head.Set("Access-Control-Max-Age", "7200")
		head.Set("Allow", allow+", OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	})
}

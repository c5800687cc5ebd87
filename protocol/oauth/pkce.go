package oauth

// NewVerifier returns a fresh PKCE code verifier of 32 random bytes. RFC 7636, 4.1.
func NewVerifier() string { return "" }

// CodeChallenge is the S256 transformation of a verifier. RFC 7636, 4.2.
func CodeChallenge(verifier string) string { return "" }

package dcapi

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/eidos-id/eidos/protocol/oauth"
)

// maxOrigin is the longest origin: a host name has 253 characters.
const maxOrigin = 300

// CheckOrigin returns nil for the origin of a page as browsers write it: https,
// or http on a loopback name, a host in lower case, the port where it is not
// that of the scheme, and nothing behind. Anything else would be hashed as it
// is and match nothing. Errors wrap ErrOrigin.
//
// HTML, 7.1.1 (ASCII serialisation of an origin); ISO/IEC TS 18013-7 (draft
// N2544), C.5.
func CheckOrigin(origin string) error {
	if origin == "" {
		return fmt.Errorf("%w: none was given; without it no answer can be made (ISO/IEC TS 18013-7, C.5)", ErrOrigin)
	}
	u, err := url.Parse(origin)
	if err != nil || len(origin) > maxOrigin || oauth.CheckURL(origin) != nil {
		return fmt.Errorf("%w: %.80q is not https with a host, nor http on loopback", ErrOrigin, origin)
	}
	plain := !strings.ContainsFunc(u.Host, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._:[]", r)
	})
	port := u.Port()
	standard := u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" || strings.HasSuffix(u.Host, ":")
	if !plain || standard || origin != u.Scheme+"://"+u.Host {
		return fmt.Errorf("%w: %.80q is not written as browsers write it: scheme and host in lower case, no path, no standard port", ErrOrigin, origin)
	}
	return nil
}

package fetch

import (
	"strconv"
	"strings"
)

// Prefer returns that of the offered media types which an Accept header gives
// the most weight, the first of those with equal weight, or "" if it accepts
// none. An empty header accepts everything. RFC 9110, 12.5.1.
func Prefer(accept string, offered ...string) string {
	best, weight := "", 0.0
	for _, mediaType := range offered {
		if w := acceptWeight(accept, mediaType); w > weight {
			best, weight = mediaType, w
		}
	}
	return best
}

// acceptWeight is the quality value of the most specific range that covers a
// media type.
func acceptWeight(accept, mediaType string) float64 {
	if strings.TrimSpace(accept) == "" {
		return 1
	}
	class, _, _ := strings.Cut(mediaType, "/")
	weight, specific := 0.0, -1
	for part := range strings.SplitSeq(accept, ",") {
		media, params, _ := strings.Cut(part, ";")
		rank := -1
		switch strings.ToLower(strings.TrimSpace(media)) {
		case mediaType:
			rank = 2
		case class + "/*":
			rank = 1
		case "*/*":
			rank = 0
		}
		if rank > specific {
			weight, specific = quality(params), rank
		}
	}
	return weight
}

// quality reads the parameter q: 1 where there is none, 0 where it is no number
// from 0 to 1.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}

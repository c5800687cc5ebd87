package wallet

import (
	"testing"

	"github.com/eidos-id/eidos/protocol/query"
)

// Of alternatives one is shown: the question is as long as its longest answer.
func TestLongest(t *testing.T) {
	credentials := []query.Credential{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	counts := []int{4, 6, 5}
	for name, c := range map[string]struct {
		sets []query.Set
		want int
	}{
		"no sets: all of them":            {nil, 15},
		"alternatives":                    {[]query.Set{{Required: true, Options: [][]string{{"a"}, {"b"}, {"c"}}}}, 6},
		"two together or one":             {[]query.Set{{Required: true, Options: [][]string{{"a", "c"}, {"b"}}}}, 9},
		"two questions":                   {[]query.Set{{Options: [][]string{{"a"}, {"b"}}}, {Options: [][]string{{"c"}}}}, 11},
		"the same for two, counted once":  {[]query.Set{{Options: [][]string{{"b"}}}, {Options: [][]string{{"b"}}}}, 6},
		"one that was not asked for is 0": {[]query.Set{{Options: [][]string{{"x"}}}}, 0},
	} {
		if got := longest(query.Query{Credentials: credentials, Sets: c.sets}, counts); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

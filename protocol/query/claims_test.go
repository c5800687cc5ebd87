package query_test

import "github.com/eidos-id/eidos/protocol/query"

// jsonClaims are claims that are JSON already, numbers as json.Number or int64.
type jsonClaims map[string]any

// Has reports whether the path selects anything.
func (j jsonClaims) Has(p query.Path) bool { return len(j.Values(p)) > 0 }

// Values returns what the path selects.
func (j jsonClaims) Values(p query.Path) []any {
	vs, err := p.Select(map[string]any(j))
	if err != nil {
		return nil
	}
	return vs
}

package verifier

// Watching is how many transactions are watched in this process, by how many, and
// of how many the last state is known.
func (v *Verifier) Watching() (rows, watchers, states int) {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	return len(v.hub.rows), v.hub.n, len(v.hub.last)
}

// The limits that tests reach.
const (
	MaxWatchers  = maxWatchers
	MaxPerRow    = maxPerRow
	MaxDeletions = maxDeletions
)

// Agreed is for a test.
var Agreed = agreed

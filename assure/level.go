package assure

import "fmt"

// Level is a level of assurance: of identity proofing, of key storage, of user
// authentication. The empty Level is none at all, below Low.
// Regulation (EU) No 910/2014, article 8.
type Level string

// The levels.
const (
	Low         Level = "low"
	Substantial Level = "substantial"
	High        Level = "high"
)

func (l Level) rank() int {
	switch l {
	case Low:
		return 1
	case Substantial:
		return 2
	case High:
		return 3
	}
	return 0
}

// AtLeast reports whether l reaches min.
func (l Level) AtLeast(min Level) bool { return l.rank() >= min.rank() }

// ParseLevel reads the name of a level; the empty one is no level and no error.
func ParseLevel(s string) (Level, error) {
	l := Level(s)
	if s != "" && l.rank() == 0 {
		return "", fmt.Errorf("level of assurance %.32q, not low, substantial or high", s)
	}
	return l, nil
}

// Weakest is the lowest of several levels; with none given it is no level. A
// credential is as good as the weakest of proofing, storage and authentication.
func Weakest(levels ...Level) Level {
	if len(levels) == 0 {
		return ""
	}
	weakest := levels[0]
	for _, l := range levels[1:] {
		if l.rank() < weakest.rank() {
			weakest = l
		}
	}
	return weakest
}

// LevelOfResistance maps a resistance to attack, as a key attestation names it
// in key_storage and user_authentication, to the level that it can carry:
// high needs resistance to attackers of high potential, substantial of
// moderate, and everything weaker is low. Names that are not known are no level.
//
// OpenID4VCI 1.0, D.2 (names after ISO/IEC 18045); Commission Implementing
// Regulation (EU) 2015/1502, annex, 2.2.1.
func LevelOfResistance(name string) Level {
	switch name {
	case "iso_18045_high":
		return High
	case "iso_18045_moderate":
		return Substantial
	case "iso_18045_enhanced-basic", "iso_18045_basic":
		return Low
	}
	return ""
}

// LevelOfKey is what a key attestation comes to: the weaker of storage and
// user authentication, each taken at the best resistance it names. A missing
// list is no level.
func LevelOfKey(keyStorage, userAuthentication []string) Level {
	return Weakest(best(keyStorage), best(userAuthentication))
}

func best(names []string) Level {
	var level Level
	for _, n := range names {
		if l := LevelOfResistance(n); l.rank() > level.rank() {
			level = l
		}
	}
	return level
}

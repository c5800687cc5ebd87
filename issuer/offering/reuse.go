package offering

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// How apps use the copies. ETSI TS 119 472-3, 4.2.4.2.
const (
	ReuseOnce     = "once_only"
	ReuseLimited  = "limited_time"
	ReuseRotating = "rotating-batch"
	ReusePerParty = "per-relying-party"
)

// Methods are ways to use the copies, the favourite first.
type Methods []string

// UnmarshalYAML takes a list, or one method alone.
func (m *Methods) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*m = Methods{node.Value}
		return nil
	}
	return node.Decode((*[]string)(m))
}

// checkReuse checks what apps are told of the copies: one of the two methods
// that every app knows, and before it those that are liked better. EUDI ARF,
// Annex II, ISSU_37 and ISSU_40; ETSI TS 119 472-3, 4.2.4.2.
func (o *Offering) checkReuse() error {
	known := []string{ReuseOnce, ReuseLimited, ReuseRotating, ReusePerParty}
	for i, method := range o.Reuse {
		switch last := i == len(o.Reuse)-1; {
		case !slices.Contains(known, method):
			return fmt.Errorf("reuse: wanted some of %s, not %.40q", strings.Join(known, ", "), method)
		case slices.Contains(o.Reuse[:i], method):
			return fmt.Errorf("reuse: %s is given twice", method)
		case last != (method == ReuseOnce || method == ReuseLimited):
			return fmt.Errorf("reuse: the last, and no other, is %s or %s: one of them every app knows", ReuseOnce, ReuseLimited)
		}
	}
	single := slices.Equal(o.Reuse, Methods{ReuseLimited})
	counted := slices.Contains(o.Reuse, ReuseOnce) || slices.Contains(o.Reuse, ReusePerParty)
	timed := len(o.Reuse) > 0 && !slices.Equal(o.Reuse, Methods{ReuseOnce})
	switch {
	case single && o.Batch > 1, len(o.Reuse) > 0 && !single && o.Batch < 2:
		return fmt.Errorf("reuse: %s alone takes a batch of 1, all others one of 2 or more", ReuseLimited)
	case o.ReissueUnused != 0 && !counted:
		return fmt.Errorf("reissueUnused: only where reuse has %s or %s", ReuseOnce, ReusePerParty)
	case o.ReissueUnused < 0 || counted && o.ReissueUnused >= o.Batch:
		return errors.New("reissueUnused: wanted 1 or more, and less than the batch")
	case o.ReissueLeft != 0 && !timed:
		return fmt.Errorf("reissueLeftDays: only where reuse has a method other than %s", ReuseOnce)
	case o.ReissueLeft < 0 || timed && o.ReissueLeft >= o.Lifetime:
		return errors.New("reissueLeftDays: wanted 1 or more, and less than lifetimeDays")
	}
	return nil
}

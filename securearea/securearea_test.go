package securearea_test

import (
	"slices"
	"testing"

	"github.com/eidos-id/eidos/securearea"
)

func TestLevels(t *testing.T) {
	ordered := []securearea.Level{securearea.LevelSoftware, securearea.LevelBasic, securearea.LevelEnhancedBasic,
		securearea.LevelModerate, securearea.LevelHigh}
	for i, low := range ordered {
		for j, high := range ordered {
			if got, want := low.AtLeast(high), i >= j; got != want {
				t.Errorf("%s at least %s: %v", low, high, got)
			}
		}
		for _, unknown := range []securearea.Level{"", "iso_18045_enormous"} {
			if unknown.AtLeast(low) || unknown.AtLeast(unknown) {
				t.Errorf("the unknown level %q is at least something", unknown)
			}
		}
	}
}

func TestSupports(t *testing.T) {
	i := securearea.Info{SignCurves: []securearea.Curve{securearea.P256}, AgreeCurves: []securearea.Curve{securearea.X25519}}
	var got []string
	for _, c := range []securearea.Curve{securearea.P256, securearea.X25519, securearea.P384} {
		for _, p := range []securearea.Purpose{securearea.Sign, securearea.Agree, ""} {
			if i.Supports(c, p) {
				got = append(got, string(c)+" "+string(p))
			}
		}
	}
	if want := []string{"P-256 sign", "X25519 agree"}; !slices.Equal(got, want) {
		t.Errorf("supported: %v, want %v", got, want)
	}
}

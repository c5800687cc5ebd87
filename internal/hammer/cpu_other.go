//go:build !unix

package hammer

import "time"

func cpuTime() time.Duration { return 0 }

package hammer

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// Usage is what this process has used.
type Usage struct {
	CPU      time.Duration `json:"cpu_ns"`         // user and system, since it began; 0 where that is not known
	Resident int64         `json:"resident_bytes"` // memory in use now; 0 where that is not known
}

// Now returns what this process has used so far.
func Now() Usage { return Usage{CPU: cpuTime(), Resident: resident()} }

// resident reads the second number of /proc/self/statm: pages in memory.
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0 // not Linux
	}
	numbers := bytes.Fields(data)
	if len(numbers) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(numbers[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

package main

import (
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	for says, l := range map[string]Limits{
		"perAddress: wanted":                      {PerAddress: 9}, // an app could never be installed
		"perApp: wanted":                          {PerApp: maxLimit + 1},
		"waitingPerAddress: wanted":               {WaitingPerAddress: -1},
		"connections: want":                       {Connections: -5},
		"proxies: \"10.0.0.1\": wanted a network": {Proxies: []string{"10.0.0.0/8", "10.0.0.1"}},
		"proxies: \"10.0.0.1/8\"":                 {Proxies: []string{"10.0.0.1/8"}},
	} {
		if err := (Config{Limits: l}).Check(); err == nil || !strings.Contains(err.Error(), "limits: "+says) && !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if g, err := (Limits{Proxies: []string{"10.0.0.0/8", "2001:db8::1/128"}}).guard(time.Now); err != nil || g == nil {
		t.Errorf("defaults: %v", err)
	}
	if g, err := (Limits{Off: true}).guard(time.Now); err != nil || g != nil {
		t.Errorf("off: %v %v", g, err)
	}
}

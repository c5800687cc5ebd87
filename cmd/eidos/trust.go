package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/trust"
)

// trustCmd is the operator of a trust service at the shell. It works on the
// service's database, beside the server or without it.
type trustCmd struct {
	List   trustListCmd   `cmd:"" help:"List the sources of the trust lists, what was found there, and what waits."`
	Accept trustAcceptCmd `cmd:"" help:"Accept the changed key of a source, and publish it."`
}

func (f roleFlags) trust(m *machine) (*trust.Service, *house, error) {
	h, err := m.shellHouse(f.Config, f.Data)
	if err != nil {
		return nil, nil, err
	}
	s, err := h.trust(m.ctx)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return s, h, nil
}

type trustListCmd struct {
	roleFlags
	JSON bool `help:"Print the list as JSON."`
}

// Run lists.
func (c *trustListCmd) Run(m *machine) error {
	s, h, err := c.trust(m)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := s.Anchors(m.ctx, c.Tenant)
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(list)
	}
	for _, a := range list {
		state := "not found yet"
		if a.Fingerprint != "" {
			state = fmt.Sprintf("%s, until %s, accepted by %s, SHA-256 %s", a.Subject, a.NotAfter.Format(time.DateOnly), a.By, a.Fingerprint)
		}
		fmt.Fprintf(m.out, "%s (%s): %s\n", a.Source.Name, a.Source.Purpose, state)
		if a.Problem != "" {
			fmt.Fprintf(m.out, "  the last attempt failed: %s\n", a.Problem)
		}
		if a.Pending != "" {
			fmt.Fprintf(m.out, "  another key waits since %s, SHA-256 %s\n", a.PendingSince.Format(time.DateOnly), a.Pending)
		}
	}
	return nil
}

type trustAcceptCmd struct {
	roleFlags
	resultFlag
	Source      string `arg:"" help:"Name of the source, as list prints it."`
	Fingerprint string `arg:"" help:"SHA-256 of the certificate that waits, from whoever runs the source, not from the list."`
}

// Run accepts.
func (c *trustAcceptCmd) Run(m *machine) error {
	if c.Fingerprint == "" {
		return usage("name the fingerprint of the certificate that is meant")
	}
	s, h, err := c.trust(m)
	if err != nil {
		return err
	}
	defer h.close()
	err = s.Accept(m.ctx, c.Tenant, c.Source, c.Fingerprint)
	if errors.Is(err, trust.ErrUnknownSource) || errors.Is(err, trust.ErrNothing) {
		return &failure{status: exitFailed, err: err, hint: "eidos trust list shows the sources and what waits"}
	}
	if err != nil {
		return err
	}
	return c.say(m, map[string]string{"accepted": c.Source}, "accepted %s; the lists name its new key from now on", c.Source)
}

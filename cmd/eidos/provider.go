package main

import (
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/provider"
)

// providerCmd is the operator of an mdoc app provider at the shell.
type providerCmd struct {
	List   providerListCmd   `cmd:"" help:"List the installations of the app."`
	Revoke providerRevokeCmd `cmd:"" help:"Revoke an installation: lost, stolen, vulnerable."`
}

func (f roleFlags) provider(m *machine) (*provider.Provider, *house, error) {
	h, err := m.shellHouse(f.Config, f.Data)
	if err != nil {
		return nil, nil, err
	}
	p, err := h.provider(m.ctx)
	if err != nil {
		return nil, nil, errors.Join(err, h.close())
	}
	return p, h, nil
}

type providerListCmd struct {
	roleFlags
	JSON bool `help:"Print the list as JSON."`
}

// Run lists.
func (c *providerListCmd) Run(m *machine) error {
	p, h, err := c.provider(m)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := p.List(m.ctx, c.Tenant, provider.Filter{})
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []provider.Instance{}
		}
		return m.json(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(m.out, "no installations")
	}
	for _, i := range list {
		state := "vouched for"
		if !i.Revoked.IsZero() {
			state = "revoked: " + i.Reason
		}
		fmt.Fprintf(m.out, "%s  %s %s on %s, %s, level %s, %s\n", i.ID, i.App.Name, i.App.Version, i.App.Platform, i.Area.Type, i.Level, state)
	}
	return nil
}

type providerRevokeCmd struct {
	roleFlags
	resultFlag
	Reason   string `required:"" help:"For the provider's own books."`
	Instance string `arg:"" help:"Id of the installation, as list prints it."`
}

// Run revokes.
func (c *providerRevokeCmd) Run(m *machine) error {
	p, h, err := c.provider(m)
	if err != nil {
		return err
	}
	defer h.close()
	if err := p.Revoke(m.ctx, c.Tenant, c.Instance, c.Reason); err != nil {
		return err
	}
	return c.say(m, map[string]string{"revoked": c.Instance}, "revoked %s; its documents can be told by the status lists from now on", c.Instance)
}

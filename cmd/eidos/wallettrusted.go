package main

import (
	"fmt"

	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/wallet"
)

// walletTrustedCmd is about whom the holder went on with at first use.
type walletTrustedCmd struct {
	List   walletTrustedListCmd   `cmd:"" default:"withargs" help:"List verifiers and issuers that nobody vouches for and whose keys are remembered; the default."`
	Forget walletTrustedForgetCmd `cmd:"" help:"Forget one of them: the next contact is the first."`
}

type walletTrustedListCmd struct {
	walletFlags
	JSON bool `help:"Print the list as JSON."`
}

// Run lists.
func (c *walletTrustedListCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := w.Pinned(m.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []wallet.Pinned{}
		}
		return m.json(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(m.out, "nobody is trusted on first use")
		return nil
	}
	for _, p := range list {
		what := map[trustlist.Purpose]string{trustlist.Reader: "verifier", trustlist.Issuer: "issuer", trustlist.TrustList: "trust service"}[p.Purpose]
		changed := ""
		if p.Changed {
			changed = ", with another key than before"
		}
		fmt.Fprintf(m.out, "%s  %-13s %q since %s%s\n    %s\n", p.ID, what, visible(p.Name), p.At.Local().Format("2006-01-02 15:04"), changed, visible(p.Counterpart))
	}
	return nil
}

type walletTrustedForgetCmd struct {
	walletFlags
	resultFlag
	ID string `arg:"" help:"Id, as list prints it."`
}

// Run forgets.
func (c *walletTrustedForgetCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	if err := w.Unpin(m.ctx, c.ID); err != nil {
		return err
	}
	return c.say(m, map[string]string{"forgotten": c.ID}, "forgotten: the next contact is the first")
}

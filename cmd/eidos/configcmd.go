package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/monitor"
	"github.com/eidos-id/eidos/provider"
	"github.com/eidos-id/eidos/trust"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/wallet"
	walletweb "github.com/eidos-id/eidos/wallet/web"
)

type configCmd struct {
	Check  configCheckCmd  `cmd:"" help:"Check a configuration file without running anything."`
	Doc    configDocCmd    `cmd:"" help:"Print the manual of the configuration file."`
	Schema configSchemaCmd `cmd:"" help:"Print a JSON Schema of the configuration file, for editors."`
}

type configCheckCmd struct {
	JSON bool   `help:"Print the result as JSON."`
	File string `arg:"" optional:"" type:"path" help:"The file; none checks the demonstration's configuration."`
}

// Run checks; status 2 if the configuration is wrong.
func (c *configCheckCmd) Run(m *machine) error {
	cfg, err := loadConfig(c.File)
	if err == nil {
		err = cfg.Check()
	}
	problems := []string{}
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			problems = append(problems, strings.TrimSpace(line))
		}
	}
	if c.JSON {
		if err := m.json(struct {
			OK       bool     `json:"ok"`
			Problems []string `json:"problems"`
		}{len(problems) == 0, problems}); err != nil {
			return err
		}
	} else if len(problems) == 0 {
		fmt.Fprintln(m.out, "the configuration is in order")
	} else {
		for _, p := range problems {
			fmt.Fprintln(m.out, p)
		}
	}
	if len(problems) > 0 {
		return &failure{status: exitUsage, err: errors.New("the configuration is not in order")}
	}
	return nil
}

// manual parses the configuration structs of the command and all roles.
func configManual() (*manual, error) {
	man := newManual()
	for name, source := range map[string]string{
		"main": configSource, "issuer": issuer.ConfigSource, "provider": provider.ConfigSource, "verifier": verifier.ConfigSource,
		"trust": trust.ConfigSource, "monitor": monitor.ConfigSource, "wallet": wallet.ConfigSource,
		"walletweb": walletweb.ConfigSource,
	} {
		if err := man.add(name, source); err != nil {
			return nil, err
		}
	}
	return man, nil
}

type configDocCmd struct{}

// Run prints the manual.
func (configDocCmd) Run(m *machine) error {
	man, err := configManual()
	if err != nil {
		return err
	}
	man.print(m.out, "main.Config", 0)
	return nil
}

type configSchemaCmd struct{}

// Run prints the schema.
func (configSchemaCmd) Run(m *machine) error {
	man, err := configManual()
	if err != nil {
		return err
	}
	s := man.schema("main.Config")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "eidos"
	return m.json(s)
}

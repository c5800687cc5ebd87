package offering

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"github.com/eidos-id/eidos/format/doctype"
)

// ErrOffering says that an offering is not valid. It is wrapped with the
// offering and the field.
var ErrOffering = errors.New("offering not valid")

// Limits and defaults.
const (
	maxFile       = 256 << 10
	maxBatch      = 100
	defaultBatch  = 10
	defaultLife   = Days(14)
	maxLife       = Days(366)
	defaultValid  = Days(5 * 365)
	maxValid      = Days(50 * 365)
	maxVCT        = 512
	defaultTenant = "default"
)

// File is the form of a file of offerings.
type File struct {
	// Offerings are what the authority issues.
	Offerings []Offering `yaml:"offerings"`
}

// Load decodes a file of offerings (YAML, at most 256 KiB, known fields only),
// checks them against the catalogue and fills in what was left out. Errors
// wrap ErrOffering.
func Load(data []byte, types *doctype.Catalogue) ([]Offering, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: file of %d bytes, at most %d", ErrOffering, len(data), maxFile)
	}
	var f File
	if err := yaml.Load(data, &f, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffering, err)
	}
	seen := map[[2]string]bool{}
	for i := range f.Offerings {
		o, err := f.Offerings[i].Complete(types)
		if err != nil {
			return nil, fmt.Errorf("offering %d: %w", i+1, err)
		}
		key := [2]string{o.Tenant, o.ID}
		if seen[key] {
			return nil, fmt.Errorf("%w: %q given twice for tenant %q", ErrOffering, o.ID, o.Tenant)
		}
		seen[key] = true
		f.Offerings[i] = o
	}
	return f.Offerings, nil
}

//go:embed demo.yaml
var demoFile []byte

var demo = sync.OnceValue(func() []Offering {
	o, err := Load(demoFile, doctype.Builtin())
	if err != nil {
		panic("offering: internal error: " + err.Error())
	}
	return o
})

// Demo returns the built-in offerings of a tenant: mdl, pid and photoid.
func Demo(tenant string) []Offering {
	out := append([]Offering(nil), demo()...)
	for i := range out {
		out[i].Tenant = tenant
	}
	return out
}

// Complete checks the offering and returns it with everything filled in that
// was left out. Errors wrap ErrOffering and name the field.
func (o Offering) Complete(types *doctype.Catalogue) (Offering, error) {
	t, ok := types.ByDocType(o.DocType)
	if !ok || t.DocType != o.DocType {
		return o, fmt.Errorf("%w: docType: unknown, or not in the spelling that is issued", ErrOffering)
	}
	fill(&o.Tenant, defaultTenant)
	fill(&o.Format, FormatMdoc)
	if o.Format == FormatSDJWT {
		fill(&o.ID, t.ID+"-sd-jwt")
	}
	fill(&o.ID, t.ID)
	fill(&o.Scope, o.ID)
	fill(&o.Level, Low)
	fill(&o.Batch, defaultBatch)
	fill(&o.Lifetime, defaultLife)
	fill(&o.Validity, defaultValid)
	if !o.PreAuthorized && !o.Authorization {
		o.PreAuthorized, o.Authorization = true, true
	}
	if len(o.Display) == 0 {
		o.Display = displayOf(t)
	}
	if err := o.check(t); err != nil {
		return o, fmt.Errorf("%w: %s: %w", ErrOffering, o.ID, err)
	}
	return o, nil
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// displayOf is how a document looks as its type says, English first.
func displayOf(t *doctype.Type) []Display {
	var out []Display
	for _, lang := range t.Names.Languages() {
		out = append(out, Display{Locale: doctype.Locale(lang), Name: t.Names[lang], Background: t.Background, Foreground: t.Foreground})
	}
	return out
}

func (o *Offering) check(t *doctype.Type) error {
	switch {
	case !isName(o.Tenant), !isName(o.ID), !isName(o.Scope):
		return errors.New("tenant, id, scope: wanted up to 64 letters, digits, \"-\", \"_\" and \".\"")
	case o.Format != FormatMdoc && o.Format != FormatSDJWT:
		return fmt.Errorf("format: wanted %s or %s", FormatMdoc, FormatSDJWT)
	case o.Format == FormatSDJWT && !t.HasSDJWT():
		return fmt.Errorf("format: documents of type %s have no form as %s", t.ID, FormatSDJWT)
	case o.VCT != "" && (o.Format != FormatSDJWT || len(o.VCT) > maxVCT):
		return fmt.Errorf("vct: only for %s, at most %d bytes", FormatSDJWT, maxVCT)
	case o.Level != Low && o.Level != Substantial && o.Level != High:
		return errors.New("level: wanted low, substantial or high")
	case o.Batch < 1 || o.Batch > maxBatch:
		return fmt.Errorf("batch: wanted 1 to %d", maxBatch)
	case o.Lifetime < 1 || o.Lifetime > maxLife:
		return fmt.Errorf("lifetimeDays: wanted 1 to %d", maxLife)
	case o.StatusPeriod < 0 || o.StatusPeriod > maxValid:
		return fmt.Errorf("statusPeriodDays: wanted at most %d", maxValid)
	case o.Validity < 1 || o.Validity > maxValid:
		return fmt.Errorf("validityDays: wanted 1 to %d", maxValid)
	}
	if err := o.checkReuse(); err != nil {
		return err
	}
	locales := map[string]bool{}
	for _, d := range o.Display {
		switch {
		case d.Name == "" || locales[d.Locale]:
			return errors.New("display: name missing or locale given twice")
		case d.Locale != doctype.Locale(d.Locale):
			return fmt.Errorf("display: locale %.20q: wanted it written %.20q (RFC 5646, 2.1.1)", d.Locale, doctype.Locale(d.Locale))
		case !isColour(d.Background) || !isColour(d.Foreground):
			return errors.New("display: colours: wanted #rrggbb")
		case d.Logo != "" && !strings.HasPrefix(d.Logo, "https://") && !strings.HasPrefix(d.Logo, "data:image/"):
			return errors.New("display: logo: wanted an https or data URL of an image")
		}
		locales[d.Locale] = true
	}
	_, err := o.mapping(t, true)
	return err
}

func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.'
	})
}

// isColour allows an absent colour too.
func isColour(s string) bool {
	return s == "" || len(s) == 7 && s[0] == '#' && strings.Trim(s[1:], "0123456789abcdefABCDEF") == ""
}

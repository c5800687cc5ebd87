package sdjwt_test

import (
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
)

const minimal = `{"vct":"urn:example:pid:1","exp":1800000000}`

// What the vectors do not have: refused when it is parsed, or in a named check.
func TestRefuses(t *testing.T) {
	a := newAuthority(t)
	hash := func(disclosure string) string { // RFC 9901, 4.2.3
		sum := sha256.Sum256([]byte(jose.Encode([]byte(disclosure))))
		return jose.Encode(sum[:])
	}
	name := `["c2FsdHNhbHRzYWx0c2Fs","given_name","Ada"]`
	exp := `["c2FsdHNhbHRzYWx0c2Fs","exp",1900000000]`
	idx := `["c2FsdHNhbHRzYWx0c2Fs","status_list",{"idx":1,"uri":"https://x.example"}]`
	wrapped := func(n int, inner string) string { return strings.Repeat(`[`, n) + inner + strings.Repeat(`]`, n) }
	for what, c := range map[string]struct {
		text  string
		parse error  // or
		check string // the check that fails
	}{
		"no JWT":                      {"~", sdjwt.ErrSyntax, ""},
		"empty":                       {"", sdjwt.ErrSyntax, ""},
		"empty disclosure":            {a.sign(t, minimal) + "~", sdjwt.ErrSyntax, ""},
		"padding in a disclosure":     {a.sign(t, minimal) + "W10=~", sdjwt.ErrSyntax, ""},
		"line break in a disclosure":  {a.sign(t, minimal) + "WyJh\nIiwxXQ~", sdjwt.ErrSyntax, ""},
		"line break at a whole group": {a.sign(t, minimal) + "WyJz\nIiwiYSIsMTJd~", sdjwt.ErrSyntax, ""},
		"unused bits in a disclosure": {a.sign(t, minimal) + "WyJhIiwxXR~", sdjwt.ErrSyntax, ""},
		"no key binding JWT":          {a.sign(t, minimal) + "x.y.z", sdjwt.ErrSyntax, ""},
		"payload no object":           {a.sign(t, `[]`), sdjwt.ErrSyntax, ""},
		"member twice":                {a.sign(t, `{"vct":"x","vct":"y"}`), sdjwt.ErrSyntax, ""},
		"member twice in disclosure":  {a.sign(t, minimal, `["s","a",{"b":1,"b":2}]`), sdjwt.ErrSyntax, ""},
		"invalid UTF-8":               {a.sign(t, minimal, "[\"s\",\"a\",\"\xff\"]"), sdjwt.ErrSyntax, ""},
		"_sd no array":                {a.sign(t, `{"vct":"x","_sd":"y"}`), sdjwt.ErrSyntax, ""},
		"_sd of numbers":              {a.sign(t, `{"vct":"x","_sd":[1]}`), sdjwt.ErrSyntax, ""},
		"... outside arrays":          {a.sign(t, `{"vct":"x","a":{"...":"y"}}`), sdjwt.ErrSyntax, ""},
		"... as a number":             {a.sign(t, `{"vct":"x","a":[{"...":1}]}`), sdjwt.ErrSyntax, ""},
		"... with _sd":                {a.sign(t, `{"vct":"x","a":[{"...":"y","_sd":[]}]}`), sdjwt.ErrSyntax, ""},
		"... as disclosed value":      {a.sign(t, minimal, `["s",{"...":"y"}]`), sdjwt.ErrSyntax, ""},
		"_sd_alg inside":              {a.sign(t, `{"vct":"x","a":{"_sd_alg":"sha-256"}}`), sdjwt.ErrSyntax, ""},
		"_sd_alg disclosed":           {a.sign(t, minimal, `["s","_sd_alg","sha-256"]`), sdjwt.ErrSyntax, ""},
		"_sd_alg no text":             {a.sign(t, `{"vct":"x","_sd_alg":1}`), sdjwt.ErrSyntax, ""},
		"_sd_alg sha-256 truncated":   {a.sign(t, `{"vct":"x","_sd_alg":"sha-256-128"}`), sdjwt.ErrUnsupported, ""},
		"disclosure of nothing":       {a.sign(t, minimal, `[]`), sdjwt.ErrSyntax, ""},
		"disclosure of a salt":        {a.sign(t, minimal, `["s"]`), sdjwt.ErrSyntax, ""},
		"disclosure with a tail":      {a.sign(t, minimal, `["s","a",1]x`), sdjwt.ErrSyntax, ""},
		"nested too deeply":           {a.sign(t, `{"vct":"x","a":`+wrapped(16, "1")+`}`), sdjwt.ErrSyntax, ""},
		"too many members":            {a.sign(t, `{"vct":"x","a":[`+strings.Repeat("1,", 9999)+`1]}`), sdjwt.ErrSyntax, ""},
		"too many in disclosures": {a.sign(t, `{"vct":"x","a":[`+strings.Repeat("1,", 6000)+`1]}`,
			`["s","a",[`+strings.Repeat("1,", 6000)+`1]]`), sdjwt.ErrLimit, ""},
		"too many disclosures": {a.sign(t, minimal) + strings.Repeat("WyJzIiwxXQ~", 1025), sdjwt.ErrLimit, ""},
		"too large":            {a.sign(t, minimal) + strings.Repeat("A", 4<<20), sdjwt.ErrLimit, ""},

		"deep through disclosures": {a.sign(t, `{"vct":"urn:example:pid:1","exp":1800000000,"a":`+wrapped(10, `{"_sd":["`+hash(deepOne)+`"]}`)+`}`, deepOne), nil, "disclosures"},
		"exp disclosed":            {a.sign(t, `{"vct":"urn:example:pid:1","_sd":["`+hash(exp)+`"]}`, exp), nil, "registered claims"},
		"inside status disclosed":  {a.sign(t, `{"vct":"urn:example:pid:1","exp":1800000000,"status":{"_sd":["`+hash(idx)+`"]}}`, idx), nil, "registered claims"},
		"digest once escaped": {a.sign(t, `{"vct":"urn:example:pid:1","exp":1800000000,"_sd":["`+hash(name)+`"],"a":{"_sd":["\u00`+
			hex2(hash(name)[0])+hash(name)[1:]+`"]}}`, name), nil, "disclosures"},
		"no vct":             {a.sign(t, `{"exp":1800000000}`), nil, "credential type"},
		"vct no text":        {a.sign(t, `{"vct":1,"exp":1800000000}`), nil, "credential type"},
		"another vct":        {a.sign(t, `{"vct":"urn:example:pid:2","exp":1800000000}`), nil, "credential type"},
		"aka_vcts empty":     {a.sign(t, `{"vct":"urn:example:pid:1","aka_vcts":[],"exp":1800000000}`), nil, "credential type"},
		"aka_vcts with vct":  {a.sign(t, `{"vct":"urn:example:pid:1","aka_vcts":["urn:example:pid:1"],"exp":1800000000}`), nil, "credential type"},
		"aka_vcts no array":  {a.sign(t, `{"vct":"urn:example:pid:1","aka_vcts":"x","exp":1800000000}`), nil, "credential type"},
		"expired":            {a.sign(t, `{"vct":"urn:example:pid:1","exp":1700000000}`), nil, "valid until"},
		"exp no number":      {a.sign(t, `{"vct":"urn:example:pid:1","exp":"1800000000"}`), nil, "valid until"},
		"not yet valid":      {a.sign(t, `{"vct":"urn:example:pid:1","exp":1900000000,"nbf":1800000000}`), nil, "valid from"},
		"issued in future":   {a.sign(t, `{"vct":"urn:example:pid:1","exp":1900000000,"iat":1800000000}`), nil, "issued at"},
		"status no object":   {a.sign(t, `{"vct":"urn:example:pid:1","exp":1800000000,"status":1}`), nil, "revocation status"},
		"status without idx": {a.sign(t, `{"vct":"urn:example:pid:1","status":{"status_list":{"uri":"https://x.example"}}}`), nil, "revocation status"},
		"cnf without jwk":    {a.sign(t, `{"vct":"urn:example:pid:1","exp":1800000000,"cnf":{"kid":"x"}}`), nil, "holder key"},
		"cnf with private key": {a.sign(t, `{"vct":"urn:example:pid:1","exp":1800000000,"cnf":{"jwk":{"kty":"EC","crv":"P-256","x":"TCAER19Zvu3OHF4j4W4vfSVoHIP1ILilDls7vCeGemc",`+
			`"y":"ZxjiWWbZMQGHVWKVQ4hbSIirsVfuecCE6t4jT9F2HZQ","d":"5K5SCos8zf9zRemGGUl6yfok-_NiiryNZsvANWMhF-I"}}}`), nil, "holder key"},
	} {
		s, err := sdjwt.Parse(c.text, sdjwt.Limits{})
		if c.parse != nil {
			if !errors.Is(err, c.parse) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		p := a.verify()
		p.KeyBinding = nil
		res, report := sdjwt.Verify(s, p)
		failed := report.Failed()
		if len(failed) != 1 || failed[0].Name != c.check {
			t.Errorf("%s: wanted only %q to fail:\n%s", what, c.check, report)
		}
		if res.Payload != nil || res.VCT != "" || res.Status != nil || res.HolderKey != nil || !res.Expires.IsZero() {
			t.Errorf("%s: handed out %+v", what, res)
		}
	}
}

const deepOne = `["c2FsdHNhbHRzYWx0c2Fs","b",[[[[[[[1]]]]]]]]`

func hex2(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

func TestVerifyRefuses(t *testing.T) {
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	other := newAuthority(t)
	stored := a.issue(t, a.params(holder, person()...))
	good := present(t, stored, holder, sdjwt.Path{"address", "country"}, sdjwt.Path{"given_name"})
	if _, report := sdjwt.Verify(parse(t, good), a.verify()); !report.OK() {
		t.Fatalf("refused:\n%s", report)
	}
	parts := strings.Split(good, "~")
	for what, c := range map[string]struct {
		text   string
		change func(*sdjwt.VerifyParams)
		check  string
	}{
		"no anchors":       {good, func(p *sdjwt.VerifyParams) { p.ValidateChain = nil }, "issuer chain"},
		"another CA":       {good, func(p *sdjwt.VerifyParams) { p.ValidateChain = other.validate }, "issuer chain: trust anchor"},
		"another key":      {good, func(p *sdjwt.VerifyParams) { p.Issuer.Key = holder.Public() }, "issuer signature"},
		"algorithm":        {good, func(p *sdjwt.VerifyParams) { p.Algorithms = []key.Algorithm{key.EdDSA} }, "issuer signature"},
		"disclosure gone":  {strings.Join(append(parts[:1:1], parts[2:]...), "~"), nil, "presentation hash"},
		"order changed":    {strings.Join([]string{parts[0], parts[2], parts[1], parts[3], parts[4]}, "~"), nil, "presentation hash"},
		"no key binding":   {strings.Join(parts[:4], "~") + "~", nil, "key binding"},
		"audience":         {good, func(p *sdjwt.VerifyParams) { p.KeyBinding.Audience = "x" }, "audience"},
		"nonce":            {good, func(p *sdjwt.VerifyParams) { p.KeyBinding.Nonce = "x" }, "nonce"},
		"nothing expected": {good, func(p *sdjwt.VerifyParams) { p.KeyBinding = &sdjwt.KeyBindingParams{} }, "audience"},
		"too old":          {good, func(p *sdjwt.VerifyParams) { p.Now = now.Add(7 * time.Minute) }, "key binding time"},
		"from the future":  {good, func(p *sdjwt.VerifyParams) { p.Now = now.Add(-2 * time.Minute) }, "key binding time"},
		"another MaxAge": {good, func(p *sdjwt.VerifyParams) {
			p.Now, p.KeyBinding.MaxAge, p.Skew = now.Add(time.Minute), time.Second, 0
		}, "key binding time"},
	} {
		p := a.verify()
		if c.change != nil {
			c.change(&p)
		}
		res, report := sdjwt.Verify(parse(t, c.text), p)
		if failed := report.Failed(); len(failed) == 0 || failed[0].Name != c.check {
			t.Errorf("%s: wanted %q to fail:\n%s", what, c.check, report)
		}
		if res.Payload != nil || res.HolderVerified || res.VCT != "" {
			t.Errorf("%s: handed out %+v", what, res)
		}
	}
	_, report := sdjwt.VerifyIssued(parse(t, good), a.verify())
	if failed := report.Failed(); len(failed) != 1 || failed[0].Name != "key binding" {
		t.Errorf("issued with a key binding JWT:\n%s", report)
	}
	p := a.verify()
	p.KeyBinding = nil
	if res, report := sdjwt.Verify(parse(t, good), p); !report.OK() || res.HolderVerified {
		t.Errorf("key binding not asked for:\n%s", report)
	}
}

func TestTypeHeader(t *testing.T) {
	a := newAuthority(t)
	for typ, want := range map[string]string{"dc+sd-jwt": "pass", "application/dc+sd-jwt": "pass", "vc+sd-jwt": "warn", "JWT": "fail", "": "fail"} {
		text, err := jose.SignBytes(t.Context(), a.key, jose.Header{Typ: typ, X5C: [][]byte{a.signer}}, []byte(minimal))
		if err != nil {
			t.Fatal(err)
		}
		p := a.verify()
		p.KeyBinding = nil
		_, report := sdjwt.Verify(parse(t, text+"~"), p)
		if c, _ := report.Find("type header"); string(c.Outcome) != want || report.OK() != (want != "fail") {
			t.Errorf("%q: %s", typ, report)
		}
	}
}

func TestWarnsOfUnlimited(t *testing.T) {
	a := newAuthority(t)
	p := a.verify()
	p.KeyBinding = nil
	_, report := sdjwt.Verify(parse(t, a.sign(t, `{"vct":"urn:example:pid:1"}`)), p)
	if c, _ := report.Find("valid until"); !report.OK() || c.Outcome != "warn" {
		t.Errorf("neither exp nor status:\n%s", report)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	a := newAuthority(t)
	parts := strings.Split(strings.TrimSuffix(a.sign(t, minimal), "~"), ".")
	flat := func(header string) string {
		return `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `","header":` + header + `}`
	}
	if _, err := sdjwt.ParseJSON([]byte(flat(`{"disclosures":[]}`)), sdjwt.Limits{}); err != nil {
		t.Fatal(err)
	}
	one := `{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"`
	for what, text := range map[string]string{
		"no JSON":                   "x",
		"disclosures no array":      flat(`{"disclosures":"x"}`),
		"disclosure no text":        flat(`{"disclosures":[1]}`),
		"tilde in a disclosure":     flat(`{"disclosures":["WyJzIiwxXQ~WyJzIiwxXQ"]}`),
		"kb_jwt no text":            flat(`{"kb_jwt":1}`),
		"kb_jwt empty":              flat(`{"kb_jwt":""}`),
		"disclosures in the second": `{"payload":"` + parts[1] + `","signatures":[` + one + `},` + one + `,"header":{"disclosures":[]}}]}`,
		"kb_jwt in the second":      `{"payload":"` + parts[1] + `","signatures":[` + one + `},` + one + `,"header":{"kb_jwt":"x"}}]}`,
	} {
		if _, err := sdjwt.ParseJSON([]byte(text), sdjwt.Limits{}); !errors.Is(err, sdjwt.ErrSyntax) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := sdjwt.ParseJSON([]byte(flat(`{}`)), sdjwt.Limits{Bytes: 10}); !errors.Is(err, sdjwt.ErrLimit) {
		t.Errorf("too large: %v", err)
	}
}

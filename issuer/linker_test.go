package issuer

import (
	"cmp"
	"crypto/ecdsa"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// sighting is a copy of a document of which only one age statement was shown,
// as colluding verifiers see it.
type sighting struct {
	document int                // what the linker wants to know
	tokens   []string           // values that two sightings may have in common
	numbers  map[string]float64 // and those that may be near each other
}

func (s *sighting) token(what string, value any) {
	s.tokens = append(s.tokens, fmt.Sprint(what, " ", value))
}

func (s *sighting) place(uri string, index uint64) {
	s.token("list", uri)
	s.token("index", index)
	s.numbers["index"] = float64(index)
	s.numbers["index in its block"] = float64(index % 512)
	s.numbers["low bits of the index"] = float64(index % 16)
}

func (s *sighting) bytes(what string, b []byte) {
	s.token(what, string(b))
	s.numbers["first byte of "+what] = float64(b[0])
	s.numbers["length of "+what] = float64(len(b))
}

// sightMdoc is what is seen of an mdoc.
func sightMdoc(t *testing.T, credential string) *sighting {
	t.Helper()
	d := parsed(t, credential)
	s := &sighting{numbers: map[string]float64{}}
	m := &d.Auth.MSO
	for _, ns := range m.ValueDigests {
		s.numbers["digests of "+ns.Name] = float64(len(ns.Digests))
		for i, digest := range ns.Digests {
			s.token("digest", string(digest.Value))
			if i == 0 {
				s.numbers["first digest"] = float64(digest.ID)
			}
		}
	}
	item := d.Item(mdoc.ElementRef{NameSpace: "org.iso.18013.5.1", ID: "age_over_18"})
	s.bytes("salt", item.Random)
	s.bytes("device key", m.DeviceKey)
	s.bytes("signature", d.Auth.Sign1.Signature)
	s.numbers["digestID"] = float64(item.DigestID)
	s.numbers["size of the item"] = float64(len(item.Raw))
	s.numbers["size of the MSO"] = float64(len(m.Raw))
	for what, at := range map[string]time.Time{"signed": m.Validity.Signed, "from": m.Validity.ValidFrom, "until": m.Validity.ValidUntil} {
		s.token(what, at)
		s.numbers[what] = float64(at.Unix())
	}
	s.token("chain", d.Auth.Sign1.X5Chain)
	s.place(m.Status.List.URI, m.Status.List.Index)
	return s
}

// sightSDJWT is what is seen of an SD-JWT VC.
func sightSDJWT(t *testing.T, credential string) *sighting {
	t.Helper()
	d, err := sdjwt.Parse(credential, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s := &sighting{numbers: map[string]float64{}}
	var payload map[string]json.RawMessage
	if err := json.Unmarshal(d.Token.Payload, &payload); err != nil {
		t.Fatal(err)
	}
	for name, value := range payload {
		if name != "_sd" {
			s.token(name, string(value))
			continue
		}
		var list []string
		if err := json.Unmarshal(value, &list); err != nil {
			t.Fatal(err)
		}
		s.numbers["digests"] = float64(len(list))
		for _, digest := range list {
			s.token("digest", digest)
		}
	}
	for _, disclosure := range d.Disclosures { // equal for all, as an age statement
		if disclosure.Name == "issuing_country" {
			s.bytes("salt", []byte(disclosure.Salt))
			s.numbers["size of the disclosure"] = float64(len(disclosure.Encoded))
		}
	}
	pub, err := d.HolderKey()
	if err != nil {
		t.Fatal(err)
	}
	x, err := pub.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	s.bytes("holder key", x[1:])
	jwt, _, _ := strings.Cut(credential, "~")
	s.bytes("signature", []byte(jwt[strings.LastIndexByte(jwt, '.')+1:]))
	s.numbers["size of the JWT"] = float64(len(jwt))
	v, err := d.Unverified()
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Status struct {
			List struct {
				Index uint64 `json:"idx"`
				URI   string `json:"uri"`
			} `json:"status_list"`
		} `json:"status"`
		Expires float64 `json:"exp"`
	}
	if err := json.Unmarshal(v.JSON(), &claims); err != nil {
		t.Fatal(err)
	}
	s.numbers["exp"] = claims.Expires
	s.place(claims.Status.List.URI, claims.Status.List.Index)
	return s
}

// A linker says how likely it holds two sightings for copies of one document;
// only the order of its scores counts.
type linker func(a, b *sighting) float64

func distance(a, b *sighting, what string) float64 {
	return math.Abs(a.numbers[what] - b.numbers[what])
}

// linkers are strategies, the last of which has learned from sightings of other
// documents of which it was told what belongs together.
func linkers(lesson, all []*sighting) map[string]linker {
	frequency := map[string]float64{}
	at := map[float64]bool{}
	for _, s := range all {
		for _, t := range s.tokens {
			frequency[t]++
		}
		at[s.numbers["index"]] = true
	}
	out := map[string]linker{
		"equal values": func(a, b *sighting) (score float64) {
			for _, t := range a.tokens {
				if slices.Contains(b.tokens, t) {
					score += math.Log(float64(len(all)) / frequency[t])
				}
			}
			return score
		},
		"near indexes": func(a, b *sighting) float64 { return -distance(a, b, "index") },
		"equal ends of indexes": func(a, b *sighting) float64 {
			x := uint64(a.numbers["index"]) ^ uint64(b.numbers["index"])
			return float64(x & -x)
		},
		"arithmetic progressions": func(a, b *sighting) (score float64) {
			i, d := a.numbers["index"], b.numbers["index"]-a.numbers["index"]
			for _, third := range []float64{i - d, i + d/2, i + 2*d} {
				if at[third] {
					score++
				}
			}
			return score - math.Abs(d)/1e9
		},
		"equal sizes": func(a, b *sighting) (score float64) {
			for what := range a.numbers {
				if strings.HasPrefix(what, "size ") || strings.HasPrefix(what, "digests") {
					score -= distance(a, b, what)
				}
			}
			return score
		},
	}
	weights := learn(lesson)
	out["nearest by what was learned"] = func(a, b *sighting) (score float64) {
		for what, w := range weights {
			score -= w * distance(a, b, what)
		}
		return score
	}
	return out
}

// learn weighs each number by how much nearer it is within documents than
// between them.
func learn(lesson []*sighting) map[string]float64 {
	weights := map[string]float64{}
	for what := range lesson[0].numbers {
		var sum, n [2]float64
		for i, a := range lesson {
			for _, b := range lesson[:i] {
				same := 0
				if a.document == b.document {
					same = 1
				}
				sum[same] += distance(a, b, what)
				n[same]++
			}
		}
		between, within := sum[0]/n[0], sum[1]/n[1]
		if between > 0 && within < between {
			weights[what] = math.Log(between/max(within, between/1e6)) / between
		}
	}
	return weights
}

// pairUp lets a linker name pairs, the surest first, until every sighting is in
// one, and returns how many are right.
func pairUp(all []*sighting, score linker) (right int) {
	type pair struct {
		a, b  int
		score float64
	}
	var pairs []pair
	for i := range all {
		for j := range i {
			pairs = append(pairs, pair{i, j, score(all[i], all[j])})
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] }) // ties fall by chance
	slices.SortStableFunc(pairs, func(x, y pair) int { return cmp.Compare(y.score, x.score) })
	taken := make([]bool, len(all))
	for _, p := range pairs {
		if taken[p.a] || taken[p.b] {
			continue
		}
		taken[p.a], taken[p.b] = true, true
		if all[p.a].document == all[p.b].document {
			right++
		}
	}
	return right
}

// byChance is the least number of right pairs that chance reaches with a
// probability below alpha.
//
// If what is seen says nothing about which of n sightings belong together, the
// documents are assigned to the pairs at random. The probability of k or more
// right pairs is then at most the expected number of sets of k pairs that are
// all right: C(n/2, k) times the probability of one set. Of that, each further
// pair contributes at most S/(m(m-1)), where S counts the ordered pairs within
// documents, of which there are never more than at the beginning, and m the
// sightings that are left. No independence is assumed.
func byChance(all []*sighting, alpha float64) int {
	n := len(all)
	sizes := map[int]int{}
	for _, s := range all {
		sizes[s.document]++
	}
	within := 0.0
	for _, c := range sizes {
		within += float64(c * (c - 1))
	}
	bound := 1.0
	for k := 1; ; k++ {
		m := float64(n - 2*(k-1))
		bound *= float64(n/2-k+1) / float64(k) * within / (m * (m - 1))
		if bound < alpha {
			return k
		}
	}
}

// falseAlarm is with what probability a test of all strategies fails though
// nothing links: one in a million.
const falseAlarm = 1e-6

// unlinkable fails for every strategy that does better than chance.
func unlinkable(t *testing.T, what string, all []*sighting) {
	t.Helper()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	half := slices.Max(slices.Collect(func(yield func(int) bool) {
		for _, s := range all {
			if !yield(s.document) {
				return
			}
		}
	})) / 2
	var lesson, test []*sighting
	for _, s := range all {
		if s.document <= half {
			lesson = append(lesson, s)
		} else {
			test = append(test, s)
		}
	}
	strategies := linkers(lesson, all)
	for name, score := range strategies {
		seen := all
		if strings.Contains(name, "learned") {
			seen = test
		}
		limit := byChance(seen, falseAlarm/float64(2*len(strategies)))
		right := pairUp(seen, score)
		t.Logf("%s, %s: %d of %d pairs right, chance stays below %d", what, name, right, len(seen)/2, limit)
		if right >= limit {
			t.Errorf("%s: %s links copies: %d of %d pairs right, chance stays below %d", what, name, right, len(seen)/2, limit)
		}
	}
}

// 100 people get documents on one day, at all hours, in batches. Who sees all
// copies and of each an age statement only cannot tell which belong together.
func TestLinker(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	people := w.crowd(100)
	w.authority = w.open()
	w.Set(time.Date(2026, 11, 23, 0, 5, 0, 0, time.UTC))
	type holder struct {
		*app
		token *oauth.Token
	}
	var holders []holder
	for _, id := range people {
		p, token := w.accept(id, "mdl", "pid-sd-jwt")
		holders = append(holders, holder{p, token})
	}
	turns := append(rand.Perm(len(people)), rand.Perm(len(people))...)
	var mdocs, sdjwts []*sighting
	for _, i := range turns {
		h := holders[i]
		w.Pass(7 * time.Minute)
		h.oauth.Attestation = w.attest(walletID, h.oauth.Instance.Public(), h.app)
		token, err := h.oauth.Refresh(t.Context(), h.token.RefreshToken, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		get := func(configuration string) []string {
			credentials, _, err := h.get(token, configuration, 2)
			if err != nil {
				t.Fatal(err)
			}
			return credentials
		}
		for _, credential := range get("mdl") {
			s := sightMdoc(t, credential)
			s.document = i
			mdocs = append(mdocs, s)
		}
		for _, credential := range get("pid-sd-jwt") {
			s := sightSDJWT(t, credential)
			s.document = i
			sdjwts = append(sdjwts, s)
		}
	}
	unlinkable(t, "mdoc", mdocs)
	unlinkable(t, "SD-JWT VC", sdjwts)
}

// All documents of an offering have equally many digests, whatever the
// authority knows of the person.
func TestEquallyManyDigests(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	people := append(w.crowd(10), "ada", "jonas", "olena", "yusuf")
	w.authority = w.open()
	seen := map[string]map[string]bool{}
	for _, id := range people {
		p, token := w.accept(id, "mdl", "pid", "photoid", "pid-sd-jwt")
		for _, configuration := range []string{"mdl", "pid", "photoid", "pid-sd-jwt"} {
			list, _, err := p.get(token, configuration, 1)
			if err != nil {
				t.Fatal(err)
			}
			if seen[configuration] == nil {
				seen[configuration] = map[string]bool{}
			}
			seen[configuration][digestsOf(t, list[0])] = true
		}
	}
	for configuration, numbers := range seen {
		if len(numbers) != 1 {
			t.Errorf("%s: %v", configuration, numbers)
		}
	}
}

// digestsOf is how many digests a copy has, by name space.
func digestsOf(t *testing.T, credential string) (numbers string) {
	t.Helper()
	if strings.Contains(credential, "~") {
		return fmt.Sprint(sightSDJWT(t, credential).numbers["digests"])
	}
	d := parsed(t, credential)
	for _, ns := range d.Auth.MSO.ValueDigests {
		numbers += fmt.Sprint(ns.Name, " ", len(ns.Digests), " ")
	}
	return numbers
}

// The linker finds what there is to find: else the test above would be none.
func TestLinkerLinks(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for name, plant := range map[string]func(s *sighting, document, copy int){
		"a value in common": func(s *sighting, document, _ int) { s.token("device", document) },
		"indexes in a row":  func(s *sighting, document, copy int) { s.numbers["index"] = float64(document*4 + copy) },
		"a size":            func(s *sighting, document, _ int) { s.numbers["size of the MSO"] = float64(document % 20) },
		"a hidden number":   func(s *sighting, document, _ int) { s.numbers["x"] = float64(document%20) + random.Float64() },
		"indexes in steps": func(s *sighting, document, copy int) {
			s.numbers["index"] = float64((document*7919)%1000*1000 + copy*(100+document))
		},
	} {
		var all []*sighting
		for i := range 400 {
			s := &sighting{document: i % 100, numbers: map[string]float64{"index": float64(random.IntN(1 << 17)), "size of the MSO": 1, "x": random.Float64()}}
			plant(s, i%100, i/100)
			all = append(all, s)
		}
		found := false
		strategies := linkers(all[:200], all)
		for _, score := range strategies {
			found = found || pairUp(all, score) >= byChance(all, falseAlarm/float64(2*len(strategies)))
		}
		if !found {
			t.Errorf("%s was not found", name)
		}
	}
}

// crowd puts people into the register who differ in what the authority knows
// of them.
func (w *world) crowd(n int) (ids []string) {
	w.t.Helper()
	data, err := os.ReadFile(w.registerFile())
	if err != nil {
		w.t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		w.t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	for i := range n {
		row := slices.Clone(rows[1])
		for column, name := range rows[0] {
			switch name {
			case "id":
				row[column] = fmt.Sprintf("crowd%d", i)
				ids = append(ids, row[column])
			case "family_name", "given_name", "resident_street", "mdl_number", "pid_number":
				row[column] += strings.Repeat("x", random.IntN(20))
			case "birth_date": // no birthday near the day of the test: it would end the copies sooner
				row[column] = fmt.Sprintf("%d-%02d-%02d", 1950+random.IntN(58), 1+random.IntN(10), 1+random.IntN(28))
			case "email_address", "mobile_phone_number", "height", "weight", "eye_colour", "hair_colour", "resident_state", "resident_postal_code",
				"resident_city", "birth_place", "family_name_national_character", "given_name_national_character", "personal_administrative_number":
				if random.IntN(2) == 0 {
					row[column] = ""
				} else if row[column] == "" {
					row[column] = "Ю"
				}
			case "nationality":
				row[column] = []string{"UT", "UT;CH", "UT;UA;DE"}[random.IntN(3)]
			}
		}
		rows = append(rows, row)
	}
	f, err := os.Create(w.registerFile())
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	if err := csv.NewWriter(f).WriteAll(rows); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

package sdjwt

import "fmt"

// process puts what was disclosed in the place of its digest, following the
// steps of the clause; the first thing that does not fit ends it.
//
// RFC 9901, 7.1, steps 3 to 5.
func (p *parser) process() error {
	p.refs = make(map[string]int, len(p.Disclosures)+p.read.hidden)
	for i := range p.Disclosures {
		digest := p.algorithm.digest(p.Disclosures[i].bytes)
		if first, twice := p.refs[digest]; twice {
			return fmt.Errorf("%w: disclosures %d and %d are the same", ErrDisclosure, first+1, i+1)
		}
		p.refs[digest] = i
	}
	if err := p.resolve(p.root, 1); err != nil {
		return err
	}
	for _, i := range p.refs {
		if i != seen {
			return fmt.Errorf("%w: step 5: no digest refers to disclosure %d", ErrDisclosure, i+1)
		}
	}
	p.digests = len(p.refs)
	return nil
}

// seen takes the place of a disclosure's number once its digest was met.
const seen = -1

// resolve handles the digests in n and in what they bring to light.
func (p *parser) resolve(n *node, depth int) error {
	if !n.digested {
		return p.depth(n, depth)
	}
	if depth > p.lim.Depth {
		return p.tooDeep()
	}
	// The members that are there, before those that are put in.
	for i := range n.members {
		if err := p.resolve(n.members[i].value, depth+1); err != nil {
			return err
		}
	}
	for _, digest := range n.digests {
		i, ok, err := p.take(digest, false)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		d := &p.Disclosures[i]
		if n.find(d.Name) != nil {
			return fmt.Errorf("%w: step 3: disclosure %d has a claim that is there already", ErrDisclosure, i+1)
		}
		if err := p.resolve(d.value, depth+1); err != nil {
			return err
		}
		n.members = append(n.members, member{d.Name, d.value, i})
	}
	for k := range n.elements {
		e := &n.elements[k]
		if e.digest == "" {
			if err := p.resolve(e.value, depth+1); err != nil {
				return err
			}
			continue
		}
		i, ok, err := p.take(e.digest, true)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		e.value, e.from = p.Disclosures[i].value, i
		if err := p.resolve(e.value, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// take finds the disclosure of a digest. Each digest may occur once.
func (p *parser) take(digest string, element bool) (i int, ok bool, err error) {
	i, ok = p.refs[digest]
	if ok && i == seen {
		return 0, false, fmt.Errorf("%w: step 4: digest %.12q… occurs twice", ErrDisclosure, digest)
	}
	p.refs[digest] = seen
	if !ok {
		return 0, false, nil
	}
	if p.Disclosures[i].IsElement != element {
		return 0, false, fmt.Errorf("%w: step 3: disclosure %d is for a member where an element belongs, or the reverse", ErrDisclosure, i+1)
	}
	return i, true, nil
}

// depth bounds what has no digests in it.
func (p *parser) depth(n *node, depth int) error {
	if depth > p.lim.Depth && (n.kind == '{' || n.kind == '[') {
		return p.tooDeep()
	}
	for i := range n.members {
		if err := p.depth(n.members[i].value, depth+1); err != nil {
			return err
		}
	}
	for i := range n.elements {
		if err := p.depth(n.elements[i].value, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) tooDeep() error {
	return fmt.Errorf("%w: nested deeper than %d", ErrLimit, p.lim.Depth)
}

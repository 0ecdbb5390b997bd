package check

import "ciranda.dev/trace"

// A Suite feeds a stream of events to many properties at once. It is a trace.Sink. Properties get only the events of
// the kinds that they read, so that those about elections cost nothing for messages.
type Suite struct {
	properties []Property
	byKind     [32][]Property
	end        int64
}

// NewSuite makes a suite of properties, which it owns from now on.
func NewSuite(properties ...Property) *Suite {
	s := &Suite{properties: properties}
	for _, p := range properties {
		kinds := p.Kinds()
		for k := range s.byKind {
			if kinds.Has(trace.Kind(k)) {
				s.byKind[k] = append(s.byKind[k], p)
			}
		}
	}
	return s
}

// Record takes the next event.
func (s *Suite) Record(e *trace.Event) {
	if e.T > s.end {
		s.end = e.T
	}
	readers := s.byKind[e.Kind&31]
	if len(readers) == 0 || e.Kind > 31 {
		return
	}
	e = typed(e)
	for _, p := range readers {
		p.Step(e)
	}
}

// Failed is the first property that is violated whatever follows; nil if there is none.
func (s *Suite) Failed() Property {
	for _, p := range s.properties {
		if p.Failed() {
			return p
		}
	}
	return nil
}

// Results judge the run so far, which was watched until its last event, in the order of the properties.
func (s *Suite) Results() []Result {
	results := make([]Result, len(s.properties))
	for i, p := range s.properties {
		results[i] = p.Result(s.end)
	}
	return results
}

// Clone copies the suite with the state of its properties.
func (s *Suite) Clone() *Suite {
	var copies []Property
	for _, p := range s.properties {
		copies = append(copies, Clone(p))
	}
	c := NewSuite(copies...)
	c.end = s.end
	return c
}

// AppendKey appends an encoding of the state of all properties.
func (s *Suite) AppendKey(b []byte) []byte {
	for _, p := range s.properties {
		b = AppendKey(b, p)
	}
	return b
}

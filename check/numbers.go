package check

import "sort"

// numbers is a set of numbers that are nearly dense, such as those of a sender: it is kept as runs.
type numbers struct {
	runs []run // ascending, with gaps between
}

type run struct{ first, last uint64 }

// find is the first run that does not end before n.
func (s *numbers) find(n uint64) int {
	return sort.Search(len(s.runs), func(i int) bool { return s.runs[i].last >= n })
}

func (s *numbers) has(n uint64) bool {
	i := s.find(n)
	return i < len(s.runs) && s.runs[i].first <= n
}

// add says whether the number is new.
func (s *numbers) add(n uint64) bool {
	if s.has(n) {
		return false
	}
	i := s.find(n)
	before := i > 0 && s.runs[i-1].last+1 == n
	after := i < len(s.runs) && s.runs[i].first == n+1
	switch {
	case before && after:
		s.runs[i-1].last = s.runs[i].last
		s.runs = append(s.runs[:i], s.runs[i+1:]...)
	case before:
		s.runs[i-1].last = n
	case after:
		s.runs[i].first = n
	default:
		s.runs = append(s.runs, run{})
		copy(s.runs[i+1:], s.runs[i:])
		s.runs[i] = run{n, n}
	}
	return true
}

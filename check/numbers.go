package check

import (
	"slices"
	"sort"
)

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

// addRun adds numbers in a row. It says whether all of them are new.
func (s *numbers) addRun(r run) bool {
	if len(s.runs) > 0 && s.runs[len(s.runs)-1].last+1 == r.first { // as it mostly is
		s.runs[len(s.runs)-1].last = r.last
		return true
	}
	from := s.find(r.first)
	fresh := from == len(s.runs) || s.runs[from].first > r.last
	if from > 0 && s.runs[from-1].last+1 == r.first {
		from--
	}
	upto := from
	for upto < len(s.runs) && s.runs[upto].first <= r.last+1 {
		r.first, r.last = min(r.first, s.runs[upto].first), max(r.last, s.runs[upto].last)
		upto++
	}
	s.runs = slices.Replace(s.runs, from, upto, r)
	return fresh
}

// lacks finds the lowest number of another set that is not in s.
func (s *numbers) lacks(other *numbers) (uint64, bool) {
	for _, r := range other.runs {
		for n := r.first; n <= r.last; {
			i := s.find(n)
			if i == len(s.runs) || s.runs[i].first > n {
				return n, true
			}
			n = s.runs[i].last + 1
		}
	}
	return 0, false
}

// prefix is up to which number the set has all from 1 on.
func (s *numbers) prefix() uint64 {
	if len(s.runs) == 0 || s.runs[0].first > 1 {
		return 0
	}
	return s.runs[0].last
}

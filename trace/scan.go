package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"ciranda.dev/protocol"
)

// A scanner walks over a line of JSON. The first error ends the walk: from then on it stands still and gives zero
// values. It exists because encoding/json takes five times as long, and a trace has millions of lines.
type scanner struct {
	b   []byte
	at  int
	err error
}

func (s *scanner) fail(expected string) {
	if s.err != nil {
		return
	}
	if s.at >= len(s.b) {
		s.err = fmt.Errorf("column %d: found the end of the line; expected %s", s.at+1, expected)
	} else {
		s.err = fmt.Errorf("column %d: found %s; expected %s", s.at+1, short(s.b[s.at:]), expected)
	}
	s.at = len(s.b)
}

func (s *scanner) space() {
	for s.at < len(s.b) && (s.b[s.at] == ' ' || s.b[s.at] == '\t' || s.b[s.at] == '\r') {
		s.at++
	}
}

// take passes over c, if it is next.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.at < len(s.b) && s.b[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) expect(c byte) {
	if !s.take(c) {
		s.fail(fmt.Sprintf("%q", c))
	}
}

// object calls field for each key; field takes the value.
func (s *scanner) object(field func(key []byte)) {
	s.expect('{')
	if s.take('}') {
		return
	}
	for s.err == nil {
		key := s.text()
		s.expect(':')
		if s.err == nil {
			field(key)
		}
		if !s.take(',') {
			s.expect('}')
			return
		}
	}
}

func (s *scanner) end() {
	if s.space(); s.at < len(s.b) {
		s.fail("the end of the line")
	}
}

// text takes a string. It is valid as long as the line, unless it has escapes: then it is a copy.
func (s *scanner) text() []byte {
	s.expect('"')
	start := s.at
	for ; s.at < len(s.b); s.at++ {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return s.b[start : s.at-1 : s.at-1]
		case c == '\\' || c < ' ' || c >= 0x80:
			return s.unquote(start - 1)
		}
	}
	s.fail("the end of a string")
	return nil
}

// unquote takes a string with escapes that begins at start.
func (s *scanner) unquote(start int) []byte {
	s.at = start
	var text string
	if raw := s.value(); s.err == nil {
		if err := json.Unmarshal(raw, &text); err != nil {
			s.at = start
			s.fail("a string")
		}
	}
	return []byte(text)
}

func (s *scanner) number(limit uint64) uint64 {
	s.space()
	start := s.at
	for s.at < len(s.b) && s.b[s.at]-'0' <= 9 {
		s.at++
	}
	n, ok := parseUint(s.b[start:s.at], limit)
	if !ok {
		s.at = start
		s.fail(fmt.Sprintf("a whole number up to %d", limit))
	}
	return n
}

func (s *scanner) signed() int64 {
	if s.take('-') {
		return -int64(s.number(math.MaxInt64))
	}
	return int64(s.number(math.MaxInt64))
}

func (s *scanner) timer() protocol.Timer {
	s.expect('[')
	kind := s.number(math.MaxUint32)
	s.expect(',')
	arg := s.number(math.MaxUint32)
	s.expect(']')
	return protocol.Timer{Kind: uint32(kind), Arg: uint32(arg)}
}

// value takes any value. It finds only its end: whether it is JSON is for others to say.
func (s *scanner) value() []byte {
	s.space()
	start, depth := s.at, 0
	for ; s.at < len(s.b); s.at++ {
		switch s.b[s.at] {
		case '"':
			if !s.skipString() {
				return nil
			}
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 0 {
				return s.cut(start)
			}
			if s.b[s.at] != ',' {
				depth--
			}
		}
	}
	if depth > 0 {
		s.fail("the end of a value")
		return nil
	}
	return s.cut(start)
}

func (s *scanner) cut(start int) []byte {
	if s.at == start {
		s.fail("a value")
		return nil
	}
	return bytes.TrimRight(s.b[start:s.at:s.at], " \t\r")
}

// skipString moves to the closing quote of the string that begins here.
func (s *scanner) skipString() bool {
	for s.at++; s.at < len(s.b); s.at++ {
		switch s.b[s.at] {
		case '\\':
			s.at++
		case '"':
			return true
		}
	}
	s.fail("the end of a string")
	return false
}

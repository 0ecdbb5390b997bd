package socket

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// A scanner reads JSON, RFC 8259, from a line. It is stricter than most: text must be well-formed Unicode, and values
// inside values end at some depth.
type scanner struct {
	b     []byte // valid UTF-8
	at    int
	depth int
}

// expected says what stands in the place of something else.
func (s *scanner) expected(what string) error {
	if s.at >= len(s.b) {
		return wrong("", "the line ends at byte %d; expected %s", s.at, what)
	}
	rest := s.b[s.at:min(len(s.b), s.at+20)]
	return wrong("", "byte %d: found %q; expected %s", s.at, bytes.ToValidUTF8(rest, nil), what)
}

// next passes over white space and gives the byte after it; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.b); s.at++ {
		if c := s.b[s.at]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

// take passes over a byte if it comes next.
func (s *scanner) take(c byte) bool {
	if s.next() == c {
		s.at++
		return true
	}
	return false
}

// end says that nothing must follow.
func (s *scanner) end() error {
	if s.next(); s.at < len(s.b) {
		return s.expected("the end of the line")
	}
	return nil
}

// enter begins what is inside a value.
func (s *scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return wrong("", "byte %d: found values inside values; expected at most %d of them", s.at, maxDepth)
	}
	return nil
}

// object reads an object. Each is called with each name, and reads its value.
func (s *scanner) object(each func(name string) error) error {
	if !s.take('{') {
		return s.expected("an object")
	}
	if err := s.enter(); err != nil {
		return err
	}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return s.expected("a comma or a brace that closes")
		}
		if s.next() != '"' {
			return s.expected("a name in quotes")
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.expected("a colon")
		}
		if err := each(name); err != nil {
			return err
		}
	}
	s.depth--
	return nil
}

// array reads an array. Each is called before each element, and reads it.
func (s *scanner) array(each func(i int) error) error {
	if !s.take('[') {
		return s.expected("a list")
	}
	if err := s.enter(); err != nil {
		return err
	}
	for i := 0; !s.take(']'); i++ {
		if i > 0 && !s.take(',') {
			return s.expected("a comma or a bracket that closes")
		}
		if err := each(i); err != nil {
			return err
		}
	}
	s.depth--
	return nil
}

// text reads a string.
func (s *scanner) text() (string, error) {
	if !s.take('"') {
		return "", s.expected("a text in quotes")
	}
	start := s.at
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return string(s.b[start : s.at-1]), nil
		case c == '\\':
			return s.escaped(append([]byte(nil), s.b[start:s.at]...))
		case c < ' ':
			return "", s.expected("no control characters in a text")
		}
		s.at++
	}
	return "", s.expected("a quote that closes")
}

// escaped reads the rest of a string, from its first backslash on.
func (s *scanner) escaped(text []byte) (string, error) {
	for s.at < len(s.b) {
		c := s.b[s.at]
		switch {
		case c == '"':
			s.at++
			return string(text), nil
		case c < ' ':
			return "", s.expected("no control characters in a text")
		case c != '\\':
			text = append(text, c)
			s.at++
			continue
		}
		r, ok := s.escape()
		if !ok {
			return "", s.expected(`an escape such as \n or \u00e9`)
		}
		text = utf8.AppendRune(text, r)
	}
	return "", s.expected("a quote that closes")
}

// escapes are what stands for what behind a backslash.
var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads one escape. It stays where it is if there is none.
func (s *scanner) escape() (rune, bool) {
	if r, ok := s.unit(s.at); ok {
		if !utf16.IsSurrogate(r) {
			s.at += 6
			return r, true
		}
		low, ok := s.unit(s.at + 6)
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			s.at += 12
			return pair, true
		}
		return 0, false
	}
	if s.at+1 < len(s.b) {
		if r, ok := escapes[s.b[s.at+1]]; ok {
			s.at += 2
			return r, true
		}
	}
	return 0, false
}

// unit reads \uXXXX.
func (s *scanner) unit(at int) (rune, bool) {
	if at+6 > len(s.b) || s.b[at] != '\\' || s.b[at+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s.b[at+2:at+6]), 16, 16)
	return rune(n), err == nil && s.b[at+2] != '+'
}

// number reads a number, and gives it as it is written.
func (s *scanner) number() (string, error) {
	s.next()
	start := s.at
	s.skipByte("-")
	if !s.skipByte("0") && !s.digits() {
		s.at = start
		return "", s.expected("a number")
	}
	if s.skipByte(".") && !s.digits() {
		return "", s.expected("a digit")
	}
	if s.skipByte("eE") {
		s.skipByte("+-")
		if !s.digits() {
			return "", s.expected("a digit")
		}
	}
	return string(s.b[start:s.at]), nil
}

// skipByte passes over one of some bytes, if it is here.
func (s *scanner) skipByte(any string) bool {
	if s.at < len(s.b) && bytes.IndexByte([]byte(any), s.b[s.at]) >= 0 {
		s.at++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.b) && '0' <= s.b[s.at] && s.b[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}

// word reads true, false or null, if one is here.
func (s *scanner) word(word string) bool {
	s.next()
	if bytes.HasPrefix(s.b[s.at:], []byte(word)) {
		s.at += len(word)
		return true
	}
	return false
}

// skip reads any value, and gives it as it is written.
func (s *scanner) skip() ([]byte, error) {
	var err error
	c := s.next()
	start := s.at
	switch {
	case c == '{':
		err = s.object(func(string) error { _, err := s.skip(); return err })
	case c == '[':
		err = s.array(func(int) error { _, err := s.skip(); return err })
	case c == '"':
		_, err = s.text()
	case s.word("true"), s.word("false"), s.word("null"):
	default:
		if _, err = s.number(); err != nil && s.at == start {
			err = s.expected("a value")
		}
	}
	return s.b[start:s.at], err
}

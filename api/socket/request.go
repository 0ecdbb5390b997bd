package socket

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// A request is a line of a client. What it refers to is part of the line.
type request struct {
	id       []byte        // as it was written; nil if there is none
	call     string        // such as "bank.transfer"
	args     []byte        // a JSON value; nil if there is none
	deadline time.Duration // how long the call may take; zero if it does not say
	token    string        // in the first line to an insecure server, and there alone
}

// parseRequest reads a line. If it cannot, the id is there as far as it came.
func parseRequest(line []byte) (r request, err error) {
	if !utf8.Valid(line) {
		return r, wrong("", "the line is not UTF-8")
	}
	s := scanner{b: line}
	seen := map[string]bool{}
	err = s.object(func(name string) error {
		if seen[name] {
			return wrong(short(name), "%s is there twice", short(name))
		}
		seen[name] = true
		return within(r.read(&s, name), short(name))
	})
	if err == nil {
		err = s.end()
	}
	if err == nil && r.call == "" && r.token == "" {
		err = wrong("call", `found no call; expected one such as "echo.echo"; "help" lists them`)
	}
	return r, err
}

// read reads what stands under a name.
func (r *request) read(s *scanner, name string) (err error) {
	switch name {
	case "id":
		r.id, err = readID(s)
	case "call":
		r.call, err = s.text()
	case "args":
		r.args, err = s.skip()
	case "deadline_ms":
		r.deadline, err = readDeadline(s)
	case "token":
		r.token, err = s.text()
	default:
		err = wrong("", "found %q; expected id, call, args, deadline_ms", short(name))
	}
	return err
}

func readID(s *scanner) ([]byte, error) {
	c := s.next()
	if c != '"' && c != '-' && (c < '0' || c > '9') {
		return nil, s.expected("a text or a number")
	}
	id, err := s.skip()
	if err == nil && len(id) > maxID {
		return nil, wrong("", "found %d bytes; expected at most %d", len(id), maxID)
	}
	if err != nil {
		return nil, err
	}
	return id, nil
}

func readDeadline(s *scanner) (time.Duration, error) {
	text, err := s.number()
	if err != nil {
		return 0, err
	}
	ms, err := strconv.ParseUint(text, 10, 32)
	if limit := longest.Milliseconds(); err != nil || ms == 0 || int64(ms) > limit {
		return 0, wrong("", "found %s; expected a whole number of milliseconds, 1 to %d", short(text), limit)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// appendRequest writes a request, with its end of line.
func appendRequest(b []byte, id uint64, call string, deadline time.Duration, args func([]byte) []byte) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = appendText(append(b, `,"call":`...), call)
	if deadline > 0 {
		b = append(b, `,"deadline_ms":`...)
		b = strconv.AppendInt(b, deadline.Milliseconds(), 10)
	}
	b = args(append(b, `,"args":`...))
	return append(b, "}\n"...)
}

// appendAnswer writes the answer to a request, with its end of line: the result, or why there is none.
func appendAnswer(b, id []byte, result func([]byte) []byte, p *problem) []byte {
	b = append(b, '{')
	if id != nil {
		b = append(append(append(b, `"id":`...), id...), ',')
	}
	if p == nil {
		b = result(append(b, `"result":`...))
		return append(b, "}\n"...)
	}
	b = appendText(append(b, `"error":{"code":`...), codeName(p.code))
	for _, part := range []struct{ name, text string }{{"message", p.message}, {"field", p.field}, {"hint", p.hint}} {
		if part.text != "" || part.name == "message" {
			b = appendText(append(b, ','), part.name)
			b = appendText(append(b, ':'), part.text)
		}
	}
	return append(b, "}}\n"...)
}

// An answer is a line of a server.
type answer struct {
	id      uint64
	hasID   bool
	result  []byte // a JSON value
	problem *problem
}

// parseAnswer reads a line of a server. Later servers may say more than it looks for.
func parseAnswer(line []byte) (a answer, err error) {
	if !utf8.Valid(line) {
		return a, wrong("", "the line is not UTF-8")
	}
	s := scanner{b: line}
	err = s.object(func(name string) error {
		var err error
		switch name {
		case "id":
			var id []byte
			if id, err = s.skip(); err == nil {
				a.id, err = strconv.ParseUint(string(id), 10, 64)
				a.hasID = err == nil
			}
		case "result":
			a.result, err = s.skip()
		case "error":
			a.problem, err = readProblem(&s)
		default:
			_, err = s.skip()
		}
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err == nil && (a.result == nil) == (a.problem == nil) {
		err = wrong("", "the answer has no result and no error, or both; expected one of them")
	}
	return a, err
}

func readProblem(s *scanner) (*problem, error) {
	p, code := &problem{}, ""
	err := s.object(func(name string) error {
		target := map[string]*string{"code": &code, "message": &p.message, "field": &p.field, "hint": &p.hint}[name]
		if target == nil {
			_, err := s.skip()
			return err
		}
		var err error
		*target, err = s.text()
		return err
	})
	p.code = codeNamed(code)
	return p, err
}

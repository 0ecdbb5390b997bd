package scenario

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A Mistake is the first thing that is wrong with a file, and where.
type Mistake struct {
	File         string
	Line, Column int // from 1
	Found        string
	Expected     string
	Advice       string // what was probably meant; may be empty
}

func (m *Mistake) Error() string {
	return fmt.Sprintf("%s:%d:%d: found %s; expected %s", m.File, m.Line, m.Column, m.Found, m.Expected)
}

// Hint is the advice for the user, or empty.
func (m *Mistake) Hint() string { return m.Advice }

// Limits of a file. They keep hostile ones from taking memory or time: the YAML parser recurses at each level and
// compares all keys of a map with one another.
const (
	maxFile   = 1 << 20 // bytes
	maxTokens = 50_000
	maxDepth  = 24  // brackets within brackets
	maxIndent = 200 // columns
)

// A reader walks through the file's tree. It keeps the first mistake; after one its methods give zero values, so that
// callers need not ask each time.
type reader struct {
	file    string
	mistake *Mistake
	size    int // nodes of the cluster
}

// read gives the root of the file's tree, or nil after a mistake.
func (r *reader) read(data []byte) ast.Node {
	switch {
	case len(data) > maxFile:
		r.at(1, 1, fmt.Sprintf("a file of %d bytes", len(data)), "at most 1 MiB")
		return nil
	case !utf8.Valid(data):
		r.at(1, 1, "bytes that are not UTF-8", "a text file in UTF-8")
		return nil
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	return r.parse(text)
}

// parse turns text into a tree. The parser is a library's and is handed what others wrote: its panics are mistakes of
// the file.
func (r *reader) parse(text string) (root ast.Node) {
	defer func() {
		if recover() != nil {
			root = nil
			r.at(1, 1, "YAML that cannot be read", "lines such as `name: a title`")
		}
	}()
	tokens := lexer.Tokenize(text)
	if r.limit(tokens); r.mistake != nil {
		return nil
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		r.syntax(err)
		return nil
	}
	return r.onlyDocument(file)
}

func (r *reader) onlyDocument(file *ast.File) ast.Node {
	var root ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if root != nil {
			r.wrong(d.Body, "a second document", "one scenario a file")
			return nil
		}
		root = d.Body
	}
	if root == nil {
		r.at(1, 1, "an empty file", "a scenario, such as `cluster: {nodes: 5}` and `expect: [leader-agreed]`")
	}
	return root
}

// limit refuses what the parser should not see: what is too deep or too much, and parts of YAML with which a small
// file means a large one.
func (r *reader) limit(tokens token.Tokens) {
	depth, line := 0, 0
	for i, t := range tokens {
		first := t.Position.Line != line
		line = t.Position.Line
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType:
			r.token(t, strconv.Quote(t.Value), "plain values: no anchors, aliases, merge keys, tags or directives")
			return
		}
		block := depth <= 0 && (first || t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType)
		switch {
		case depth > maxDepth || block && t.Position.Column > maxIndent:
			r.token(t, "nesting too deep", fmt.Sprintf("at most %d levels", maxDepth))
			return
		case i >= maxTokens:
			r.token(t, "too much", fmt.Sprintf("at most %d words and signs in a file", maxTokens))
			return
		}
	}
}

func (r *reader) syntax(err error) {
	var at *token.Token
	what := "something that is not YAML"
	if e := (*yaml.SyntaxError)(nil); errors.As(err, &e) {
		at, what = e.Token, fmt.Sprintf("a mistake in the YAML (%s)", e.Message)
	}
	r.token(at, what, "lines such as `name: a title`, indented by spaces")
}

// wrong notes a mistake at n, if it is the first.
func (r *reader) wrong(n ast.Node, found, expected string) { r.token(tokenOf(n), found, expected) }

func (r *reader) token(t *token.Token, found, expected string) {
	if t == nil || t.Position == nil {
		r.at(1, 1, found, expected)
		return
	}
	r.at(max(t.Position.Line, 1), max(t.Position.Column, 1), found, expected)
}

func (r *reader) at(line, column int, found, expected string) {
	if r.mistake == nil {
		r.mistake = &Mistake{File: r.file, Line: line, Column: column, Found: found, Expected: expected}
	}
}

// advise adds advice to the mistake that was just noted.
func (r *reader) advise(word string, known []string) {
	if near := nearest(word, known); near != "" && r.mistake.Advice == "" {
		r.mistake.Advice = fmt.Sprintf("did you mean %q?", near)
	}
}

// tokenOf is where a node begins.
func tokenOf(n ast.Node) *token.Token {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	}
	return n.GetToken()
}

// lineOf is the line in which a node begins.
func lineOf(n ast.Node) int {
	if t := tokenOf(n); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// A field is a key of a map with its value.
type field struct {
	name  string
	key   ast.Node
	value ast.Node
}

// fields gives the fields of a map. Its keys are among known.
func (r *reader) fields(n ast.Node, what string, known []string) []field {
	var fields []field
	for _, v := range r.pairs(n, what) {
		f := field{name: text(v.Key), key: v.Key, value: v.Value}
		if !contains(known, f.name) {
			r.unknown(f, what, known)
			return nil
		}
		fields = append(fields, f)
	}
	return fields
}

func (r *reader) unknown(f field, what string, known []string) {
	first := r.mistake == nil
	r.wrong(f.key, fmt.Sprintf("the key %s in %s", quote(f.name), what), oneOf(known))
	if _, err := strconv.Atoi(f.name); err == nil && first { // {crash: 1,2} is YAML for {crash: 1, 2: }
		r.mistake.Advice = `within braces, several nodes are written [1, 2] or "1,2"`
	}
	r.advise(f.name, known)
}

func (r *reader) pairs(n ast.Node, what string) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	r.wrong(n, describe(n), what+" as a map, such as {key: value}")
	return nil
}

// list gives the entries of a list.
func (r *reader) list(n ast.Node, what string) []ast.Node {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.wrong(n, describe(n), "a list of "+what)
		return nil
	}
	return s.Values
}

// word gives the text of a scalar.
func (r *reader) word(n ast.Node, expected string) string {
	if !isScalar(n) {
		r.wrong(n, describe(n), expected)
		return ""
	}
	return text(n)
}

// choice gives a word that is among known.
func (r *reader) choice(n ast.Node, known []string) string {
	w := r.word(n, oneOf(known))
	if r.mistake == nil && !contains(known, w) {
		r.wrong(n, quote(w), oneOf(known))
		r.advise(w, known)
	}
	return w
}

// number gives a whole number between lo and hi.
func (r *reader) number(n ast.Node, lo, hi int) int {
	expected := fmt.Sprintf("a whole number from %d to %d", lo, hi)
	v, err := strconv.Atoi(r.word(n, expected))
	if err != nil || v < lo || v > hi {
		r.wrong(n, describe(n), expected)
		return lo
	}
	return v
}

// truth gives true or false.
func (r *reader) truth(n ast.Node) bool { return r.choice(n, []string{"true", "false"}) == "true" }

// maxDuration is longer than any experiment.
const maxDuration = 24 * time.Hour

// duration gives a time from lo to 24h.
func (r *reader) duration(n ast.Node, lo time.Duration) time.Duration {
	const expected = "a time with its unit, such as 2s or 500ms"
	d, err := time.ParseDuration(r.word(n, expected))
	switch {
	case err != nil:
		r.wrong(n, describe(n), expected)
	case d < lo || d > maxDuration:
		r.wrong(n, describe(n), fmt.Sprintf("a time from %s to 24h", lo))
	default:
		return d
	}
	return lo
}

package shell

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what is remembered.
const (
	maxHistory     = 500     // lines
	maxHistoryFile = 1 << 20 // bytes that are read of a file
)

// A history is the lines that were typed, for the arrow keys. It lives in a file that only its owner can read. Several
// shells may add to it at a time. Without a file it lives as long as the shell.
type history struct {
	path  string
	lines []string // the oldest first
	keep  bool     // the next line
}

// readHistory reads the file of that name. One that is not there or cannot be kept is no reason to fail.
func readHistory(path string) *history {
	h := &history{path: path}
	f, err := os.Open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			h.path = ""
		}
		return h
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxHistoryFile))
	lines.Buffer(nil, maxLine)
	read := 0
	for lines.Scan() {
		read++
		h.add(clean(lines.Text()))
	}
	if read > 2*maxHistory || lines.Err() != nil {
		h.shorten()
	}
	return h
}

// shorten writes the file anew, with what is remembered.
func (h *history) shorten() {
	temporary := fmt.Sprintf("%s.%d", h.path, os.Getpid())
	text := strings.Join(h.lines, "\n") + "\n"
	if os.WriteFile(temporary, []byte(text), 0o600) != nil || os.Rename(temporary, h.path) != nil {
		os.Remove(temporary)
	}
}

// add remembers a line, unless it is the same as the one before.
func (h *history) add(line string) bool {
	if line == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return false
	}
	if h.lines = append(h.lines, line); len(h.lines) > maxHistory {
		h.lines = slices.Delete(h.lines, 0, len(h.lines)-maxHistory)
	}
	return true
}

// Add implements term.History.
func (h *history) Add(line string) {
	line = strings.TrimSpace(line)
	if !h.keep || len(line) > maxLine/2 || !utf8.ValidString(line) || !h.add(line) || h.path == "" {
		return
	}
	f, err := os.OpenFile(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return // the disk may be read-only
	}
	io.WriteString(f, line+"\n")
	f.Close()
}

// Len implements term.History.
func (h *history) Len() int { return len(h.lines) }

// At implements term.History: 0 is the last line.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }

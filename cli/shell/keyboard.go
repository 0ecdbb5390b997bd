package shell

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// The keys that mean something to a shell at any time.
const (
	ctrlC = 0x03
	ctrlD = 0x04
	ctrlE = 0x05
	ctrlU = 0x15
	enter = '\r'
	tab   = '\t'
)

// maxTyped is how much may be typed ahead of the prompt, in bytes.
const maxTyped = 4096

// A Terminal is where somebody sits.
type Terminal struct {
	io.ReadWriter                            // in raw mode: each key comes as it is pressed
	Size          func() (width, height int) // in characters; nil: it stays at 80 by 24
	Resized       <-chan os.Signal           // something comes when Size has changed; nil: never
	Colours       bool                       // it shows them
}

// A keyboard reads keys all the time, also while a command runs, so that Ctrl-C is heard.
type keyboard struct {
	terminal Terminal
	screen   *term.Terminal
	history  *history

	mu      sync.Mutex
	typed   []byte        // and not yet read by the screen
	ended   error         // why there will be no more
	more    chan struct{} // has something when there is more to read
	giveUp  func()        // ends the command that runs; nil: none does
	asking  bool          // a line is being read
	inner   bool          // it answers a question of a command
	givenUp bool          // it was given up
	ctx     context.Context
}

// newKeyboard begins to read. It stops reading for others when ctx ends.
func newKeyboard(ctx context.Context, t Terminal, h *history) *keyboard {
	k := &keyboard{terminal: t, history: h, more: make(chan struct{}, 1), ctx: ctx}
	k.screen = term.NewTerminal(k, "")
	k.screen.History = h
	k.resize()
	go k.listen()
	if t.Resized != nil {
		go k.follow()
	}
	return k
}

func (k *keyboard) resize() {
	if k.terminal.Size == nil {
		return
	}
	if width, height := k.terminal.Size(); width > 0 {
		k.screen.SetSize(width, height)
	}
}

// follow lets the screen know its size.
func (k *keyboard) follow() {
	for {
		select {
		case <-k.terminal.Resized:
			k.resize()
		case <-k.ctx.Done():
			return
		}
	}
}

// listen takes what is typed until there is no more.
func (k *keyboard) listen() {
	buffer := make([]byte, 256)
	for {
		n, err := k.terminal.Read(buffer)
		for _, b := range buffer[:n] {
			k.press(b)
		}
		if err != nil {
			k.mu.Lock()
			k.ended = err
			k.mu.Unlock()
		}
		select {
		case k.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// press takes one key, or a part of one. Ctrl-C ends what runs and forgets what was typed ahead. At the prompt it
// empties the line, and gives a question of a command up, as Ctrl-D does there.
func (k *keyboard) press(b byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case b == ctrlC && k.giveUp != nil && !k.asking:
		k.typed = nil
		k.giveUp()
	case b == ctrlC, b == ctrlD && k.asking && k.inner:
		k.typed, k.givenUp = append(k.typed[:0], ctrlE, ctrlU, enter), true
	case len(k.typed) < maxTyped:
		k.typed = append(k.typed, b)
	}
}

// Read gives the screen what was typed, in whole characters.
func (k *keyboard) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, io.ErrShortBuffer // a key that has no end
	}
	for {
		if n, err := k.take(b); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-k.more:
		case <-k.ctx.Done():
			return 0, context.Cause(k.ctx)
		}
	}
}

func (k *keyboard) take(b []byte) (n int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for n < len(b) && utf8.FullRune(k.typed) {
		r, size := utf8.DecodeRune(k.typed)
		if r != utf8.RuneError {
			if n+size > len(b) {
				break
			}
			n += copy(b[n:], k.typed[:size])
		}
		k.typed = k.typed[size:]
	}
	if n == 0 {
		err = k.ended
	}
	return n, err
}

// Write shows what the screen has to show.
func (k *keyboard) Write(b []byte) (int, error) { return k.terminal.Write(b) }

func (k *keyboard) ask(q question) (string, error) {
	k.resize()
	k.screen.SetPrompt(q.prompt)
	k.screen.AutoCompleteCallback = nil
	if q.complete != nil {
		k.screen.AutoCompleteCallback = completer(q.complete, k.screen)
	}
	k.history.keep = q.keep
	k.setAsking(true, !q.keep)
	line, err := k.screen.ReadLine()
	if err != nil {
		io.WriteString(k.terminal, "\r\n") // what comes next begins a line
	}
	if k.setAsking(false, false) {
		return "", errGivenUp
	}
	return strings.TrimSpace(line), err
}

// setAsking says whether a line is being read, and gives whether the one before was given up.
func (k *keyboard) setAsking(on, inner bool) (givenUp bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asking, k.inner = on, inner
	if !on {
		givenUp, k.givenUp = k.givenUp, false
	}
	return givenUp
}

func (k *keyboard) confirm(text string) (bool, error) {
	answer, err := k.ask(question{prompt: text + " y/n [n] "})
	if errors.Is(err, io.EOF) {
		return false, errGivenUp
	}
	return strings.HasPrefix(strings.ToLower(answer), "y"), err
}

func (k *keyboard) run(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k.interrupts(func() { cancel(errGivenUp) })
	defer k.interrupts(nil)
	return do(ctx)
}

func (k *keyboard) interrupts(giveUp func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.giveUp = giveUp
}

package disk

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
)

// A memory is a file system that writes down all that is done to it, so that a crash at any moment can be shown.
// Files are written only by the store's writer, one call at a time.
type memory struct {
	start   map[int][]byte // what the files were before the first operation
	begun   map[string]int // and their names
	ops     []op
	names   map[string]*content
	files   int
	deaf    func(what string) bool // the operations that are forgotten: to see that a test would notice
	durable func() uint64          // what the store had promised when an operation began
}

type op struct {
	kind    string // create, write, sync, rename, syncdir
	file    int
	name    string
	to      string
	data    []byte
	durable uint64 // what had been promised before it
	begun   bool   // and whether Open had returned
}

type content struct {
	id   int
	data []byte
}

// A state is what a crash leaves.
type state map[string][]byte

func newMemory(start state) *memory {
	m := &memory{start: map[int][]byte{}, begun: map[string]int{}, names: map[string]*content{}}
	for name, data := range start {
		m.files++
		m.names[name] = &content{m.files, slices.Clone(data)}
		m.begun[name], m.start[m.files] = m.files, data
	}
	return m
}

func (m *memory) log(o op) {
	if m.durable != nil {
		o.durable, o.begun = m.durable(), true
	}
	if m.deaf == nil || !m.deaf(o.kind+" "+o.name) {
		m.ops = append(m.ops, o)
	}
}

func (m *memory) Lock() (io.Closer, error) { return io.NopCloser(nil), nil }

func (m *memory) ReadFile(name string) ([]byte, error) {
	if c := m.names[name]; c != nil {
		return slices.Clone(c.data), nil
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

func (m *memory) Create(name string) (File, error) {
	m.files++
	m.names[name] = &content{id: m.files}
	m.log(op{kind: "create", file: m.files, name: name})
	return &memoryFile{m, m.names[name], name}, nil
}

func (m *memory) Append(name string) (File, error) {
	if c := m.names[name]; c != nil {
		return &memoryFile{m, c, name}, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) Rename(from, to string) error {
	m.log(op{kind: "rename", name: from, to: to})
	m.names[to] = m.names[from]
	delete(m.names, from)
	return nil
}

func (m *memory) SyncDir() error {
	m.log(op{kind: "syncdir"})
	return nil
}

type memoryFile struct {
	m    *memory
	c    *content
	name string
}

func (f *memoryFile) Write(b []byte) (int, error) {
	f.m.log(op{kind: "write", file: f.c.id, name: f.name, data: slices.Clone(b)})
	f.c.data = append(f.c.data, b...)
	return len(b), nil
}

func (f *memoryFile) Sync() error {
	f.m.log(op{kind: "sync", file: f.c.id, name: f.name})
	return nil
}

func (f *memoryFile) Close() error { return nil }

// crash shows every state that a crash after the first n operations may leave: of what was not synced, each number of
// writes may have reached the disk, the next one in part, and each number of changes of names.
func (m *memory) crash(n int, visit func(state)) {
	names, pending, synced, loose := m.until(n)
	for renames := range len(pending) + 1 {
		left := maps.Clone(names)
		rename(left, pending[:renames])
		for _, kept := range tails(loose) {
			s := state{}
			for name, file := range left {
				s[name] = slices.Concat(synced[file], kept[file])
			}
			visit(s)
		}
	}
}

// until gives what is lasting after n operations, and what is not yet: changes of names and writes.
func (m *memory) until(n int) (names map[string]int, pending []op, synced map[int][]byte, loose []op) {
	names, synced = maps.Clone(m.begun), maps.Clone(m.start)
	for _, o := range m.ops[:n] {
		switch o.kind {
		case "create", "rename":
			pending = append(pending, o)
		case "syncdir":
			rename(names, pending)
			pending = nil
		case "write":
			loose = append(loose, o)
		case "sync":
			loose = slices.DeleteFunc(loose, func(w op) bool {
				if w.file == o.file {
					synced[o.file] = slices.Concat(synced[o.file], w.data)
				}
				return w.file == o.file
			})
		}
	}
	return names, pending, synced, loose
}

func rename(names map[string]int, changes []op) {
	for _, o := range changes {
		if o.kind == "create" {
			names[o.name] = o.file
		} else {
			names[o.to] = names[o.name]
			delete(names, o.name)
		}
	}
}

// tails gives the ways in which loose writes may have reached the disk: so many whole ones and a part of the next.
func tails(loose []op) []map[int][]byte {
	var all []map[int][]byte
	for whole := range len(loose) + 1 {
		kept := map[int][]byte{}
		for _, w := range loose[:whole] {
			kept[w.file] = slices.Concat(kept[w.file], w.data)
		}
		all = append(all, kept)
		if whole == len(loose) {
			break
		}
		torn := loose[whole]
		for _, part := range []int{1, headSize - 1, headSize, headSize + 1, len(torn.data) / 2, len(torn.data) - 1} {
			if part > 0 && part < len(torn.data) {
				half := maps.Clone(kept)
				half[torn.file] = slices.Concat(half[torn.file], torn.data[:part])
				all = append(all, half)
			}
		}
	}
	return all
}

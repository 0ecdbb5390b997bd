package registry

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ciranda.dev/protocol/group"
	"ciranda.dev/protocol/invocation"
)

// An Entry is a name and what has it. It is never changed.
type Entry struct {
	Name string         `json:"name"`
	Ref  invocation.Ref `json:"ref"`
	// Tags say more of it: up to 16, with keys of 1 to 64 bytes and values of up to 256.
	Tags map[string]string `json:"tags,omitempty"`
	// Description says what can be called, up to 64 KiB. It is not in traces.
	Description []byte `json:"-"`
	// By is who bound it, as far as the request said. The registry fills it in.
	By invocation.ClientID `json:"by"`
	// Home is the member with whose membership the entry ends: the owner if that is a node, else the member that bound it, which keeps
	// the owner's session. The registry fills it in.
	Home group.Member `json:"home"`
}

// The bounds of an entry.
const (
	mostName        = 255
	mostTags        = 16
	mostTagKey      = 64
	mostTagValue    = 256
	mostDescription = 64 << 10
	mostInterface   = 255
	mostFingerprint = 128
)

// CheckName says what is wrong with a name: it has 1 to 255 bytes of printable text without spaces.
func CheckName(name string) error {
	bad := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }
	if name == "" || len(name) > mostName || !utf8.ValidString(name) || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("found the name %.40q; expected 1 to %d bytes of printable text without spaces, such as bank/alice", name, mostName)
	}
	return nil
}

// check says what is wrong with an entry that is to be bound.
func (e *Entry) check() error {
	if err := CheckName(e.Name); err != nil {
		return err
	}
	for _, b := range []struct {
		what     string
		is, most int
	}{
		{"tags", len(e.Tags), mostTags}, {"bytes of description", len(e.Description), mostDescription},
		{"bytes of the interface's name", len(e.Ref.Interface), mostInterface},
		{"bytes of fingerprint", len(e.Ref.Fingerprint), mostFingerprint},
	} {
		if b.is > b.most {
			return fmt.Errorf("found %d %s for %s; expected at most %d", b.is, b.what, e.Name, b.most)
		}
	}
	for _, key := range sortedKeys(e.Tags) {
		if value := e.Tags[key]; key == "" || len(key) > mostTagKey || len(value) > mostTagValue {
			return fmt.Errorf("found the tag %.40q of %d bytes for %s; expected a key of 1 to %d bytes and a value of up to %d", key, len(value),
				e.Name, mostTagKey, mostTagValue)
		}
	}
	if e.Ref.IsZero() {
		return fmt.Errorf("found nothing to be called %s; expected a reference", e.Name)
	}
	return nil
}

// Calls of clients. Those that change something take the id of the client's request, so that the same request made again, here or at
// another node, has no second effect and gets the answer of before. The zero id is none.
type (
	// Bind gives a name to an object. It is answered by Done, or by Failed with Taken if the name has one.
	Bind struct {
		Request invocation.RID `json:"request,omitzero"`
		Entry   Entry          `json:"entry"`
	}
	// Rebind does the same, and takes the name from another object.
	Rebind struct {
		Request invocation.RID `json:"request,omitzero"`
		Entry   Entry          `json:"entry"`
	}
	// Unbind takes a name away. It is answered by Done, or by Failed with NoName.
	Unbind struct {
		Request invocation.RID `json:"request,omitzero"`
		Name    string         `json:"name"`
		// Own has only who bound the name take it away; others get Failed with NotYours.
		Own bool `json:"own,omitempty"`
	}
	// Lookup is answered by Found, or by Failed with NoName.
	Lookup struct {
		Name string `json:"name"`
	}
	// List is answered by Listed: the entries whose names begin so.
	List struct {
		Prefix string `json:"prefix"`
	}
	// Expire says that the session of a client ended that this node kept: what the client's life owned and bound here leaves. It is answered
	// by Done.
	Expire struct {
		Client      invocation.ClientID `json:"client"`
		Incarnation uint64              `json:"inc"`
	}
)

// Answers. Besides, protocol.Refused says that nothing happened: the node is in no view that can go on, or too much waits.
type (
	// Done says that what was asked is done, and the table's revision then.
	Done struct {
		Revision uint64 `json:"revision"`
	}
	// Found answers Lookup.
	Found struct {
		Entry    Entry  `json:"entry"`
		Revision uint64 `json:"revision"`
	}
	// Listed answers List, in the order of names and without descriptions. It is not in the trace.
	Listed struct {
		Entries  []Entry `json:"entries"`
		Revision uint64  `json:"revision"`
	}
	// Failed says that nothing was changed, and why.
	Failed struct {
		Reason   Reason `json:"reason"`
		Why      string `json:"why"`
		Revision uint64 `json:"revision"`
	}
	// Unknown says that the node cannot tell: what was asked may have happened, or may happen still.
	Unknown struct {
		Why string `json:"why"`
	}
)

// A Reason is why something failed.
type Reason string

// The reasons.
const (
	Taken    Reason = "taken"     // the name has an object
	NoName   Reason = "no name"   // nothing has the name
	NotYours Reason = "not yours" // somebody else bound it
	NoOwner  Reason = "no owner"  // the owner, or who keeps its session, is no member of the group
	Full     Reason = "full"      // the table has no room
)

// A Hash is of a table: of equal tables it is equal.
type Hash uint64

// String is the hash in hexadecimal.
func (h Hash) String() string { return fmt.Sprintf("%016x", uint64(h)) }

// MarshalText gives the hash in hexadecimal: as a number in JSON it would lose digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText takes the hash in hexadecimal.
func (h *Hash) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	*h = Hash(n)
	return err
}

// Indications for those who watch. They are not in the trace; their notes are.
type (
	// Changed tells of changes, in order. Revisions count changes without a gap, so that who has one more than the last has missed
	// nothing.
	Changed struct {
		Since   uint64
		Changes []Change
	}
	// A Change is that a name was bound, or that it is gone.
	Change struct {
		Revision uint64
		Name     string
		Entry    *Entry // nil: it is gone

		was invocation.ObjectID
	}
	// Reset says that the table here is another one from now on, and not by changes: this node has joined, or is no member any more and
	// has none (Since is 0), or the table began anew in the view Since.
	Reset struct {
		Since    uint64
		Revision uint64
		Entries  []Entry // in the order of names, without descriptions
	}
)

// Kind is the event's name in traces.
func (Changed) Kind() string { return "registry.changed" }

// Kind is the event's name in traces.
func (Reset) Kind() string { return "registry.reset" }

// Notes for the trace.
type (
	// Stands is the note of a table: after a change, or as this node has it from now on.
	Stands struct {
		Since    uint64 `json:"since"` // the view in which the table began; 0 if this node has none
		Revision uint64 `json:"revision"`
		Hash     Hash   `json:"hash"`
		Loaded   bool   `json:"loaded,omitempty"` // it is another table than before
		Names    int    `json:"names"`
	}
	// Bound is the note that a name was bound.
	Bound struct {
		Revision  uint64              `json:"revision"` // with it
		Name      string              `json:"name"`
		Owner     invocation.ClientID `json:"owner"`
		Inc       uint64              `json:"inc"`    // the owner's life
		Object    string              `json:"object"` // a hash
		Interface string              `json:"interface"`
		Home      group.Member        `json:"home"`
	}
	// Unbound is the note that a name is gone.
	Unbound struct {
		Revision uint64 `json:"revision"` // with it
		Name     string `json:"name"`
		Object   string `json:"object"` // a hash
		Why      string `json:"why"`    // unbound, expired, or left: its owner is gone
	}
	// Spoilt is the note that what another member sent cannot be read.
	Spoilt struct {
		Why string `json:"why"`
	}
)

// Kind is the event's name in traces.
func (Stands) Kind() string { return "registry.table" }

// Kind is the event's name in traces.
func (Bound) Kind() string { return "registry.bind" }

// Kind is the event's name in traces.
func (Unbound) Kind() string { return "registry.unbind" }

// Kind is the event's name in traces.
func (Spoilt) Kind() string { return "registry.spoilt" }

// Query asks a node's registry for its Status, from outside and between steps.
type Query struct{}

// A Status is what a node's registry has. It may be behind that of others: only Lookup and List are not.
type Status struct {
	Since    uint64 // the view in which the table began; 0: the node has none
	Revision uint64
	Hash     Hash
	Names    int
	Bytes    int // of the entries, about
	Waits    int // commands that wait until all members have the table
}

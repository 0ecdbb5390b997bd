package invocation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// An ObjectID names an object of one life of its owner: 128 random bits that nobody can guess, so that it is also the permission
// to call the object. It shows itself as a hash only, in lists, traces and errors; the hash tells objects apart and opens nothing.
type ObjectID [16]byte

// String is a hash of the id: 16 hexadecimal digits.
func (id ObjectID) String() string {
	sum := sha256.Sum256(append([]byte("ciranda object "), id[:]...))
	return hex.EncodeToString(sum[:8])
}

// MarshalText gives the hash.
func (id ObjectID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalBinary gives the id itself: for messages, not for people.
func (id ObjectID) MarshalBinary() ([]byte, error) { return id[:], nil }

// UnmarshalBinary takes the 16 bytes of an id.
func (id *ObjectID) UnmarshalBinary(b []byte) error {
	if len(b) != len(id) {
		return errors.New("an object id has 16 bytes")
	}
	copy(id[:], b)
	return nil
}

// A Ref refers to an object, wherever it is. It has no address: the owner is looked up when it is called, so that a reference stays
// good when its owner moves, and tells nothing about hosts. It is of one life of its owner; a later life does not know the object.
type Ref struct {
	Owner       ClientID `json:"owner"`
	Incarnation uint64   `json:"inc"` // the owner's life
	Object      ObjectID `json:"object"`
	Interface   string   `json:"interface"`   // the name of what can be called
	Fingerprint string   `json:"fingerprint"` // of that interface's signatures
}

// IsZero says whether it refers to nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

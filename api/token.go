package api

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"google.golang.org/grpc/codes"
)

// A Token is the secret of an insecure cluster. Who has it, or listens on the network, is an operator.
type Token string

// NewToken makes a token of 128 random bits or more, and writes it to a new file that only its owner can read.
func NewToken(path string) (Token, error) {
	t := Token(rand.Text())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("api: the token: %w", err)
	}
	_, err = f.WriteString(string(t) + "\n")
	return t, errors.Join(err, f.Close())
}

// shortest is the least length of a token that is taken from a file, in characters.
const shortest = 16

// maxToken is the size of the largest file with a token, in bytes.
const maxToken = 4096

// ReadToken reads a token. It refuses a file that others can read or that is another user's, where the system can tell.
func ReadToken(path string) (Token, error) {
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("api: the token: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("api: the token: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of the very file that is read
	if err != nil {
		return "", fmt.Errorf("api: the token: %w", err)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("api: the token in %s can be read by others (%v); chmod 600 it", path, info.Mode().Perm())
	}
	if Foreign(info) {
		return "", fmt.Errorf("api: the token in %s belongs to another user", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("api: the token: %w", err)
	}
	t := Token(strings.TrimSpace(string(b)))
	if len(b) > maxToken || len(t) < shortest || strings.ContainsFunc(string(t), unprintable) {
		return "", fmt.Errorf("api: %s is no token: expected %d characters to %d, of ASCII", path, shortest, maxToken)
	}
	return t, nil
}

// unprintable says whether a character cannot stand in a header.
func unprintable(r rune) bool { return r < ' ' || r > '~' }

// TokenAt reads the token of a file, or makes both if there is none.
func TokenAt(path string) (Token, error) {
	t, err := ReadToken(path)
	if errors.Is(err, fs.ErrNotExist) {
		return NewToken(path)
	}
	return t, err
}

// Secret derives another secret from the token, for a named purpose. It tells nothing of the token.
func (t Token) Secret(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, []byte(t), nil, "ciranda "+purpose, sha256.Size)
	if err != nil {
		panic("api: " + err.Error()) // only for lengths that are not asked for
	}
	return key
}

const bearer = "Bearer "

// check says whether the value of an authorization header shows the token.
func (t Token) check(header string) error {
	shown, ok := strings.CutPrefix(header, bearer)
	if !ok || t == "" || subtle.ConstantTimeCompare([]byte(shown), []byte(t)) != 1 {
		return &Error{
			Code: codes.Unauthenticated,
			Text: "the request does not show the cluster's token",
			Hint: "it is in the file token of the cluster's directory; send it as `authorization: Bearer TOKEN`",
		}
	}
	return nil
}

// GetRequestMetadata shows the token in each call of a client.
func (t Token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": bearer + string(t)}, nil
}

// RequireTransportSecurity says that the token is shown in plain text: it is for insecure clusters.
func (t Token) RequireTransportSecurity() bool { return false }

// Rmigen writes the Go code of remote interfaces: for each interface of a package that is marked //rmi:remote, what
// calls it from elsewhere and what serves it, over the descriptors of package rmi.
//
//	go tool rmigen [DIRECTORY]
//
// Usually it stands in a source file as "//go:generate go tool rmigen". It writes remote.rmi.go, or nothing at all: what cannot
// be remote it reports with its position.
//
// A remote method takes a [context.Context] first and gives an error last. Between them may stand whatever can be copied, and
// other remote interfaces, which go as references. Above a method, or behind it, //rmi:idempotent says that it may be executed
// more than once, and //rmi:maybe that it is sent once and never again.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	flag.Usage = func() {
		fmt.Fprint(os.Stderr, "usage: rmigen [DIRECTORY]\n\nWrites remote.rmi.go for the interfaces marked //rmi:remote of the package in a directory.\n")
	}
	flag.Parse()
	dir := "."
	if flag.NArg() > 0 {
		dir = flag.Arg(0)
	}
	err := errors.New("found more than one directory")
	if flag.NArg() <= 1 {
		err = run(dir)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "rmigen: %v\n", err)
		os.Exit(1)
	}
}

// fileName is what is written.
const fileName = "remote.rmi.go"

func run(dir string) error {
	p, err := load(dir)
	if err != nil {
		return err
	}
	faces, err := p.remotes()
	if err != nil {
		return err
	}
	if len(faces) == 0 {
		return fmt.Errorf("%s: found no interface marked //rmi:remote", p.Name)
	}
	text, err := write(p, faces)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, fileName), text, 0o644)
}

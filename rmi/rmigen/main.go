// Rmigen writes the Go code of remote interfaces: what calls an object elsewhere, and what serves it, over the descriptors of
// package rmi.
//
//	go tool rmigen [-check] [-tags LIST] [PACKAGE…]
//
// Usually it stands in a source file as "//go:generate go tool rmigen", and in go.mod as "tool ciranda.dev/rmi/rmigen". For
// account.go it writes account.rmi.go beside it. What cannot be remote it reports with its position, all of it at once, and
// writes nothing then. What it writes depends on the source alone, and files that are as they should be are left alone.
//
// A remote interface is marked //rmi:remote. Its methods take a [context.Context] first and give an error last. Between them
// stand values that can be copied, and other remote interfaces, which go as references. Above a method, or behind it,
// //rmi:idempotent says that it may be executed more than once, and //rmi:maybe that it is sent once and never again.
//
// It needs no code that it has written before, neither in the package nor in those that are imported. It does not say what else
// keeps a package from compiling: the compiler does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

const help = `Rmigen writes the code that calls and serves remote interfaces.

usage: rmigen [-check] [-tags LIST] [PACKAGE…]

A package is a directory, such as ./bank, or many, such as ./... ; none is the directory you are in.
For account.go with this contract

    //go:generate go tool rmigen

    //rmi:remote
    type Account interface {
        Deposit(ctx context.Context, cents int64) (balance int64, err error)
        Balance(ctx context.Context) (balance int64, err error) //rmi:idempotent
    }

it writes account.rmi.go with AccountRemote: its methods Export and Lookup serve and find accounts.

  -check      write nothing; print what differs, and fail if anything does
  -tags LIST  build tags, as for go build

It exits with 0, 1 if a contract is wrong or -check found a difference, or 2 if the command line is wrong.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program. It gives the exit status.
func run(args []string, out, trouble io.Writer) int {
	f := flag.NewFlagSet("rmigen", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	check := f.Bool("check", false, "")
	tags := f.String("tags", "", "")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, help)
		return 0
	case err != nil:
		fmt.Fprintf(trouble, "rmigen: %v; rmigen -help says what there is\n", err)
		return 2
	}
	if err := generate(f.Args(), *tags, *check, out, trouble); err != nil {
		fmt.Fprintln(trouble, err)
		return 1
	}
	return 0
}

// generate writes, or checks, the code for some packages. It writes nothing if anything is wrong in one of them.
func generate(patterns []string, tags string, check bool, out, trouble io.Writer) error {
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	found, err := find(patterns, tags)
	if err != nil {
		return err
	}
	for _, file := range found.leftOut {
		fmt.Fprintf(trouble, "rmigen: note: %s has remote interfaces, and is left out of this build; give GOOS, GOARCH or -tags to include it\n", here(file))
	}
	files, err := contents(found, tags)
	if err != nil {
		return err
	}
	if len(files)+len(found.leftOut) == 0 {
		return fmt.Errorf("rmigen: found no interface marked //rmi:remote in %s", strings.Join(patterns, " "))
	}
	if check {
		return compare(files, out)
	}
	return store(files)
}

// contents are the files that there should be, by path: nil for one that should not.
func contents(found *finding, tags string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, path := range found.written {
		files[path] = nil
	}
	packages, err := load(found, tags)
	if err != nil {
		return nil, err
	}
	var wrong problems
	for _, p := range packages {
		p.contents(files)
		wrong = append(wrong, p.wrong...)
	}
	return files, wrong.err()
}

// contents adds what there should be for a package.
func (p *pkg) contents(files map[string][]byte) {
	faces := p.remotes()
	p.names(faces)
	if len(p.wrong) > 0 {
		return
	}
	for source, faces := range bySource(faces) {
		files[target(source)] = p.write(source, faces)
	}
}

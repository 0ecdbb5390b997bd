package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"ciranda.dev/api"
	"ciranda.dev/pki"
)

// The two parties of a measurement have credentials of an authority that is thrown away, or a token.
type parties struct {
	dir             string
	client          api.Access
	serverArguments []string // of rpc-server
}

func newParties(insecure bool) (*parties, error) {
	dir, err := os.MkdirTemp("", "ciranda-bench-*")
	if err != nil {
		return nil, err
	}
	p := &parties{dir: dir}
	if insecure {
		err = p.agreeOnToken()
	} else {
		err = p.certify()
	}
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

func (p *parties) remove() error { return os.RemoveAll(p.dir) }

func (p *parties) agreeOnToken() (err error) {
	path := filepath.Join(p.dir, "token")
	p.client.Token, err = api.NewToken(path)
	p.serverArguments = []string{"--token-file", path}
	return err
}

func (p *parties) certify() error {
	authority, err := pki.Init(filepath.Join(p.dir, "authority"), "bench")
	if err != nil {
		return err
	}
	server, client := filepath.Join(p.dir, "server"), filepath.Join(p.dir, "client")
	if err := authority.Issue(server, pki.Request{Role: pki.Gateway, Name: "server"}); err != nil {
		return err
	}
	if err := authority.Issue(client, pki.Request{Role: pki.Observer, Name: "client"}); err != nil {
		return err
	}
	p.serverArguments = []string{"--credentials", server}
	p.client.Credentials, err = pki.Load(client)
	return err
}

// An rpcServer is the other process, as this one sees it.
type rpcServer struct {
	addresses []string // of the ways, in their order
	process   *exec.Cmd
	ask       io.WriteCloser // it ends when this does
	answers   *json.Decoder
}

// startServer starts the process of [ServeRPC].
func startServer(p *parties) (*rpcServer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &rpcServer{process: exec.Command(program, append([]string{"bench", "rpc-server"}, p.serverArguments...)...)}
	s.process.Stderr = os.Stderr
	if s.ask, err = s.process.StdinPipe(); err != nil {
		return nil, err
	}
	answers, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.answers = json.NewDecoder(answers)
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("bench: the server: %w", err)
	}
	if err := s.answers.Decode(&s.addresses); err != nil {
		return nil, errors.Join(fmt.Errorf("bench: the server does not begin: %w", err), s.close())
	}
	return s, nil
}

// busy asks for how long it has kept processors busy.
func (s *rpcServer) busy() (t time.Duration, err error) {
	if _, err = s.ask.Write([]byte{'\n'}); err == nil {
		err = s.answers.Decode(&t)
	}
	if err != nil {
		err = fmt.Errorf("bench: the server has ended: %w", err)
	}
	return t, err
}

func (s *rpcServer) close() error {
	s.ask.Close()
	return s.process.Wait()
}

// ServeRPC is the server of [RPC], with a port of the loopback interface for each way of calling. It writes the
// addresses to out, then for each line that it reads the time for which this process has kept processors busy, in
// nanoseconds. It returns when in ends.
func ServeRPC(a api.Access, in io.Reader, out io.Writer) error {
	answers := json.NewEncoder(out)
	var addresses []string
	for _, w := range ways {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
		go w.serve(l, a)
	}
	if err := answers.Encode(addresses); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := answers.Encode(cpuTime()); err != nil {
			return err
		}
	}
	return nil
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"ciranda.dev/api"
	"ciranda.dev/pki"
)

// The parties of every cluster, beside its nodes. The names of their credentials' directories are theirs.
const (
	supervisorParty = "supervisor"
	operatorParty   = "operator"
	clientParty     = "client"
	observerParty   = "observer"
)

// parties are all who have credentials, as they are asked for.
func (s *Supervisor) parties() []pki.Request {
	all := []pki.Request{
		{Role: pki.Gateway, Name: supervisorParty}, {Role: pki.Operator, Name: operatorParty},
		{Role: pki.Client, Name: clientParty}, {Role: pki.Observer, Name: observerParty},
	}
	for i := range max(1, s.cfg.Gateways) {
		all = append(all, pki.Request{Role: pki.Gateway, Name: gatewayParty(i + 1)})
	}
	for id := range s.shape.Nodes {
		all = append(all, pki.Request{Role: pki.Node, Name: strconv.Itoa(id + 1)})
	}
	return all
}

// credentials is where a party's credentials are.
func credentials(dir, party string) string { return filepath.Join(dir, credentialsDir, party) }

// secure makes the supervisor's access ready: credentials for all parties, or a token.
func (s *Supervisor) secure() (err error) {
	if s.shape.Insecure {
		s.access.Token, err = api.TokenAt(filepath.Join(s.dir, tokenFile))
		return err
	}
	if err := s.renew(); err != nil {
		return err
	}
	if s.access.Credentials, err = pki.Load(credentials(s.dir, supervisorParty)); err == nil {
		s.access.Credentials.LogTo(s.log)
	}
	return err
}

// renew makes the credentials of all parties that have none, or not for much longer. Processes that run take them up.
func (s *Supervisor) renew() error {
	authority, err := pki.Open(filepath.Join(s.dir, authorityDir))
	if errors.Is(err, fs.ErrNotExist) {
		authority, err = pki.Init(filepath.Join(s.dir, authorityDir), s.cfg.Name)
	}
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, p := range s.parties() {
		issued, err := authority.Ensure(credentials(s.dir, p.Name), p)
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		if issued {
			s.log.Info("made credentials", "role", p.Role, "name", p.Name)
		}
	}
	return nil
}

// renewDaily renews credentials until ctx ends. They last for months, so a day on which it fails does no harm.
func (s *Supervisor) renewDaily(ctx context.Context) {
	daily := time.NewTicker(24 * time.Hour)
	defer daily.Stop()
	for {
		select {
		case <-daily.C:
			if err := s.renew(); err != nil {
				s.log.Error("credentials cannot be renewed", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// shows are the arguments by which a process finds what to show of who it is. No secret is among them.
func (s *Supervisor) shows(party string) []string {
	if s.shape.Insecure {
		return []string{"--insecure", "--token-file", filepath.Join(s.dir, tokenFile)}
	}
	return []string{"--credentials", credentials(s.dir, party)}
}

// Access is that of an operator of the cluster of a name, which up has made on this machine.
func Access(name string) (api.Access, error) {
	var a api.Access
	dir, err := Dir(name)
	if err != nil {
		return a, err
	}
	if err := checkOwner(dir); err != nil {
		return a, err
	}
	was, known, err := kept(dir)
	switch {
	case err != nil:
		return a, err
	case !known:
		return a, notHere(name)
	case was.Insecure:
		a.Token, err = api.ReadToken(filepath.Join(dir, tokenFile))
	default:
		a.Credentials, err = pki.Load(credentials(dir, operatorParty))
	}
	return a, err
}

func notHere(name string) error {
	return failure("ciranda up makes it", "there is no cluster %q on this machine", name)
}

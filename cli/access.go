package cli

import (
	"cmp"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ciranda.dev/api"
	"ciranda.dev/cluster"
	"ciranda.dev/pki"
)

// accessFlags say with what a command gets in, or lets others in.
type accessFlags struct {
	credentials, tokenFile string
	insecure               bool
}

func (f *accessFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.credentials, "credentials", "", "the directory with the certificate to show; else $CIRANDA_CREDENTIALS")
	flags.BoolVar(&f.insecure, "insecure", false, "plain text in place of certificates, with the token of --token-file")
	flags.StringVar(&f.tokenFile, "token-file", "", "the token of an insecure cluster; else $CIRANDA_TOKEN_FILE")
}

// access is what the flags and the environment say. It is none if they say nothing.
func (f *accessFlags) access() (a api.Access, err error) {
	switch {
	case f.credentials != "" && (f.insecure || f.tokenFile != ""):
		return a, mistake{"--credentials and --insecure exclude each other", ""}
	case f.tokenFile != "" && !f.insecure:
		return a, mistake{"--token-file is for insecure clusters: what is sent there can be read on its way",
			"--insecure --token-file " + f.tokenFile + " says that this is meant"}
	case f.insecure:
		return f.token()
	}
	dir := cmp.Or(f.credentials, os.Getenv("CIRANDA_CREDENTIALS"))
	if dir == "" {
		return a, nil
	}
	if a.Credentials, err = pki.Load(dir); errors.Is(err, fs.ErrNotExist) {
		return a, mistake{err.Error(), "ciranda pki issue makes credentials"}
	} else if err != nil {
		return a, mistake{err.Error(), "ciranda pki show " + dir + " tells more"}
	}
	return a, nil
}

func (f *accessFlags) token() (a api.Access, err error) {
	path := cmp.Or(f.tokenFile, os.Getenv("CIRANDA_TOKEN_FILE"))
	if path == "" {
		return a, nil
	}
	if a.Token, err = api.ReadToken(path); err != nil {
		return a, mistake{err.Error(), "--token-file says where the cluster's token is"}
	}
	return a, nil
}

// required is what a server is told. It must be told something.
func (f *accessFlags) required() (api.Access, error) {
	a, err := f.access()
	if err != nil || a.Validate() == nil {
		return a, err
	}
	if f.insecure {
		return a, mistake{"--token-file is missing", "it names a file with a secret of 16 characters or more, which all servers of the cluster share"}
	}
	return a, mistake{"--credentials is missing", "ciranda pki issue makes them; --insecure --token-file FILE does without, in plain text"}
}

// local is what a client is told, or else that of an operator of the cluster of a name, if this machine has it.
func (f *accessFlags) local(name string) (api.Access, error) {
	a, err := f.access()
	if err != nil || a.Validate() == nil {
		return a, err
	}
	if !f.insecure {
		return cluster.Access(name)
	}
	dir, err := cluster.Dir(name)
	if err != nil {
		return a, err
	}
	f.tokenFile = filepath.Join(dir, "token")
	return f.token()
}

// warnOpen logs that an insecure server can be reached from other machines, if it can.
func warnOpen(warn func(string, ...any), a api.Access, addresses ...string) {
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		ip := net.ParseIP(host)
		if a.Insecure() && err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			warn("INSECURE: what is sent at this address can be read and changed by others on the network", "address", address)
		}
	}
}

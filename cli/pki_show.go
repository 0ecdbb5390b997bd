package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/pki"
)

func newPkiShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show DIR|FILE…",
		Short: "Say whose credentials these are, and until when",
		Long: "Show reads certificates: of a directory with credentials, of an authority's directory, or of a file. It never reads\n" +
			"more of a key than whether it fits, and prints nothing of it. The exit status is 1 if something is wrong with them.",
		Example: "  ciranda pki show node3\n  ciranda pki show -o json ca node1 node2 | jq .days_left",
		Args:    arguments(1, -1, "directories or files"),
		RunE: func(cmd *cobra.Command, paths []string) error {
			wrong := false
			for _, path := range paths {
				all, err := inspect(path)
				if err != nil {
					return err
				}
				for _, d := range all {
					wrong = wrong || d.Problem != ""
					if err := show(cmd, d, d.write); err != nil {
						return err
					}
				}
			}
			if wrong {
				return errShown
			}
			return nil
		},
	}
}

// inspect describes what is in a file or a directory.
func inspect(path string) ([]credentialsJSON, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, mistake{err.Error(), ""}
	}
	if !info.IsDir() {
		return inspectFile(path)
	}
	party := filepath.Join(path, pki.CertificateFile)
	if _, err := os.Stat(party); errors.Is(err, fs.ErrNotExist) {
		all, err := inspectFile(filepath.Join(path, pki.AuthorityFile))
		if errors.Is(err, fs.ErrNotExist) {
			err = mistake{fmt.Sprintf("%s holds neither credentials nor an authority", path), "ciranda pki issue makes them"}
		}
		return all, err
	}
	all, err := inspectFile(party)
	if err != nil {
		return nil, err
	}
	if _, err := pki.Load(path); err != nil {
		all[0].Problem = plain(err).Error()
	}
	return all, nil
}

func inspectFile(path string) ([]credentialsJSON, error) {
	certs, err := pki.ReadCertificates(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	} else if err != nil {
		return nil, plain(err)
	}
	var all []credentialsJSON
	for _, cert := range certs {
		d := describe(path, cert)
		if err := pki.Valid(cert, time.Now()); err != nil && d.Problem == "" {
			d.Problem = "the certificate " + err.Error()
		}
		all = append(all, d)
	}
	return all, nil
}

func describe(path string, cert *x509.Certificate) credentialsJSON {
	d := credentialsJSON{
		File: path, Hosts: pki.HostsOf(cert),
		From: cert.NotBefore.UTC(), Until: cert.NotAfter.UTC(),
		DaysLeft: math.Floor(time.Until(cert.NotAfter).Hours()/24*10) / 10,
		SignedBy: cert.Issuer.CommonName, Fingerprint: pki.Fingerprint(cert),
	}
	if name, err := pki.ClusterOf(cert); err == nil {
		d.Cluster, d.Role = name, "authority"
		return d
	}
	id, err := pki.IdentityIn(cert)
	if err != nil {
		d.Problem = plain(err).Error()
		return d
	}
	d.Cluster, d.Role, d.Name = id.Cluster, id.Role.String(), id.Name
	return d
}

// who names whose certificate it is.
func (d credentialsJSON) who() string {
	switch {
	case d.Role == "":
		return "somebody unknown"
	case d.Name == "":
		return fmt.Sprintf("the %s of %s", d.Role, d.Cluster)
	}
	return fmt.Sprintf("%s %s of %s", d.Role, d.Name, d.Cluster)
}

func (d credentialsJSON) write(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", d.File, d.who())
	if len(d.Hosts) > 0 {
		fmt.Fprintf(w, "  hosts        %s\n", strings.Join(d.Hosts, ", "))
	}
	fmt.Fprintf(w, "  valid        %s until %s, %.1f days left\n", d.From.Format(minutes), d.Until.Format(minutes), d.DaysLeft)
	fmt.Fprintf(w, "  signed by    %q\n", d.SignedBy)
	fmt.Fprintf(w, "  fingerprint  %s\n", d.Fingerprint)
	if d.Problem != "" {
		fmt.Fprintf(w, "  PROBLEM      %s\n", d.Problem)
	}
}

// minutes is how exactly people are told when a certificate begins and ends.
const minutes = "2006-01-02 15:04Z"

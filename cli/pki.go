package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ciranda.dev/cluster"
	"ciranda.dev/pki"
)

func newPki() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pki",
		Short: "Make credentials, and look at them",
		Long: "Pki makes the authority of a cluster and the credentials of those who take part: a directory with the files\n" +
			"certificate.pem, key.pem and authority.pem. Up does this by itself; pki is for other people, machines and containers.",
		Example: "  ciranda pki issue --role observer ana --out ana     # of the cluster that up made\n" +
			"  ciranda pki init --authority ca --cluster lab\n  ciranda pki issue --authority ca --role node 3 --out node3 --host 10.0.0.3",
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPkiInit(), newPkiIssue(), newPkiRenew(), newPkiShow())
	return cmd
}

// An authorityFlag says which authority signs.
type authorityFlag struct{ dir, name string }

func (f *authorityFlag) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "authority", "", "the authority's directory; else that of the cluster named by --name")
	cmd.Flags().StringVar(&f.name, "name", cluster.DefaultName, "the cluster of this machine whose authority signs")
}

func (f *authorityFlag) open() (*pki.Authority, error) {
	dir, hint := f.dir, "ciranda pki init makes one"
	if dir == "" {
		home, err := cluster.Dir(f.name)
		if err != nil {
			return nil, err
		}
		dir, hint = filepath.Join(home, "authority"), "ciranda up makes one, unless it is insecure; --authority names another"
	}
	a, err := pki.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mistake{fmt.Sprintf("there is no authority in %s", dir), hint}
	}
	return a, plain(err)
}

// plain is an error without the name of its package, which says nothing to who has typed a command.
func plain(err error) error {
	if err == nil {
		return nil
	}
	text := strings.ReplaceAll(err.Error(), "pki: ", "")
	var system *fs.PathError
	if errors.As(err, &system) && !errors.Is(err, fs.ErrNotExist) {
		return errors.New(text) // such as a full disk, which is nobody's mistake
	}
	return mistake{text, ""}
}

// credentialsJSON is what is printed of credentials, or of an authority.
type credentialsJSON struct {
	File        string    `json:"file"`
	Cluster     string    `json:"cluster"`
	Role        string    `json:"role"` // authority too
	Name        string    `json:"name,omitempty"`
	Hosts       []string  `json:"hosts,omitempty"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	DaysLeft    float64   `json:"days_left"`
	SignedBy    string    `json:"signed_by"`
	Fingerprint string    `json:"fingerprint"`
	Problem     string    `json:"problem,omitempty"`
	Changed     *bool     `json:"changed,omitempty"` // of init, issue and renew
}

func newPkiInit() *cobra.Command {
	var dir, name string
	var ifNeeded bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the authority of a cluster",
		Long: "Init makes an authority, for ten years. Keep its directory to yourself: who has the key in it can be anybody.\n" +
			"Nothing is ever overwritten.",
		Example: "  ciranda pki init --authority ca --cluster lab",
		Args:    arguments(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return mistake{"--authority is missing", "for example:" + firstLine(cmd.Example)}
			}
			changed, err := initAuthority(dir, name, ifNeeded)
			if err != nil {
				return err
			}
			return made(cmd, filepath.Join(dir, pki.AuthorityFile), changed)
		},
	}
	cmd.Flags().StringVar(&dir, "authority", "", "the directory to make")
	cmd.Flags().StringVar(&name, "cluster", cluster.DefaultName, "the cluster's name")
	cmd.Flags().BoolVar(&ifNeeded, "if-needed", false, "do nothing if the authority is there")
	return cmd
}

func initAuthority(dir, name string, ifNeeded bool) (changed bool, err error) {
	_, err = pki.Init(dir, name)
	if !ifNeeded || !errors.Is(err, fs.ErrExist) {
		return true, plain(err)
	}
	a, err := pki.Open(dir)
	if err != nil {
		return false, plain(err)
	}
	if a.Cluster() != name {
		return false, mistake{fmt.Sprintf("%s is the authority of %s; expected that of %s", dir, a.Cluster(), name), ""}
	}
	return false, nil
}

// issueFlags are the flags of pki issue, as they are typed.
type issueFlags struct {
	authority        authorityFlag
	role, out, owner string
	ifNeeded         bool
	request          pki.Request
}

func newPkiIssue() *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "issue NAME",
		Short: "Make credentials for somebody",
		Long: "Issue makes a key and signs a certificate of it. The role says what its owner may do: an observer reads, a client\n" +
			"also moves money, an operator also breaks things and calls elections; gateways and nodes are servers. A node's name\n" +
			"is its number. Credentials of somebody else are never overwritten.",
		Example: "  ciranda pki issue --role operator ana --out ana\n" +
			"  ciranda pki issue --authority ca --role node 3 --out node3 --host node3.example.org --for 720h",
		Args: arguments(1, 1, "a name"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.issue(cmd, args[0]) },
	}
	f.authority.flags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.role, "role", "", "node, gateway, operator, client or observer")
	flags.StringVar(&f.out, "out", "", "the directory to write to")
	flags.StringSliceVar(&f.request.Hosts, "host", nil, "a DNS name or IP address by which curl and grpcurl may call it; more than once")
	flags.DurationVar(&f.request.For, "for", 0, "how long the certificate lasts (default 2160h, 90 days)")
	flags.BoolVar(&f.ifNeeded, "if-needed", false, "do nothing if such credentials are there, with a third of their time left")
	flags.StringVar(&f.owner, "owner", "", "to whom the files are given, UID or UID:GID as numbers; only root can")
	return cmd
}

func (f *issueFlags) issue(cmd *cobra.Command, name string) (err error) {
	for _, needed := range []struct{ flag, value string }{{"role", f.role}, {"out", f.out}} {
		if needed.value == "" {
			return mistake{fmt.Sprintf("--%s is missing", needed.flag), "for example:" + firstLine(cmd.Example)}
		}
	}
	r := f.request
	r.Name = name
	if r.Role, err = pki.ParseRole(f.role); err != nil {
		return plain(err)
	}
	if r.Owner, err = parseOwner(f.owner); err != nil {
		return err
	}
	if err := checkLife(cmd, r.For); err != nil {
		return err
	}
	a, err := f.authority.open()
	if err != nil {
		return err
	}
	changed := true
	if f.ifNeeded {
		changed, err = a.Ensure(f.out, r)
	} else {
		err = a.Issue(f.out, r)
	}
	if err != nil {
		return plain(err)
	}
	return made(cmd, filepath.Join(f.out, pki.CertificateFile), changed)
}

// checkLife refuses a time that was given and is none: zero means the default only where nothing was given.
func checkLife(cmd *cobra.Command, life time.Duration) error {
	if cmd.Flags().Changed("for") && life <= 0 {
		return mistake{fmt.Sprintf("found --for %s; expected a time above 0", life), ""}
	}
	return nil
}

// parseOwner reads UID or UID:GID.
func parseOwner(text string) (*pki.Owner, error) {
	if text == "" {
		return nil, nil
	}
	user, group, both := strings.Cut(text, ":")
	uid, err := strconv.ParseUint(user, 10, 31)
	gid := int64(-1)
	if err == nil && both {
		var n uint64
		n, err = strconv.ParseUint(group, 10, 31)
		gid = int64(n)
	}
	if err != nil {
		return nil, mistake{fmt.Sprintf("found --owner %q; expected numbers such as 65532 or 65532:65532", text), ""}
	}
	return &pki.Owner{UID: int(uid), GID: int(gid)}, nil
}

func newPkiRenew() *cobra.Command {
	var authority authorityFlag
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "renew DIR…",
		Short: "Replace credentials before they end, or after",
		Long: "Renew makes a new key and certificate for the same identity and hosts. Processes that use the directory take them\n" +
			"up at their next connection. An expired certificate is renewed too.",
		Example: "  ciranda pki renew --authority ca node1 node2 node3",
		Args:    arguments(1, -1, "directories with credentials"),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if err := checkLife(cmd, life); err != nil {
				return err
			}
			a, err := authority.open()
			if err != nil {
				return err
			}
			for _, dir := range dirs {
				if err := pki.Renew(a, dir, life); err != nil {
					return plain(err)
				}
				if err := made(cmd, filepath.Join(dir, pki.CertificateFile), true); err != nil {
					return err
				}
			}
			return nil
		},
	}
	authority.flags(cmd)
	cmd.Flags().DurationVar(&life, "for", 0, "how long the certificate lasts (default 2160h, 90 days)")
	return cmd
}

// made tells of what a file now holds.
func made(cmd *cobra.Command, path string, changed bool) error {
	certs, err := pki.ReadCertificates(path)
	if err != nil {
		return plain(err)
	}
	d := describe(path, certs[0])
	d.Changed = &changed
	return show(cmd, d, func(w io.Writer) {
		verb := "made"
		if !changed {
			verb = "kept"
		}
		fmt.Fprintf(w, "%s %s, valid until %s, in %s\n", verb, d.who(), d.Until.Format(time.DateOnly), filepath.Dir(path))
	})
}

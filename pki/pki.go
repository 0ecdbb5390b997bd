// Package pki gives a cluster its own authority, and each party that takes part credentials: a certificate that says who
// it is and in what [Role], the key of it, and the authorities that it trusts.
//
// [Init] makes an authority and [Authority.Issue] the credentials, as three files in a directory. [Load] reads them and
// gives the settings of TLS with which both ends of a connection prove who they are; [IdentityOf] tells a server who
// speaks to it. What counts is the identity in the certificate: names of hosts stand there only for other programs.
// A renewed certificate is taken up by running processes at their next handshake.
//
// There is no revocation. A stolen key is good until its certificate expires, so certificates last 90 days, and can
// last minutes; until then only another authority shuts a thief out. Connections that are open stay open when a
// certificate expires. All rests on clocks that are right to the hour.
//
// Identities are in the style of SPIFFE (https://spiffe.io), which has them in a URI too; certificates are those of
// RFC 5280 and connections those of TLS 1.3, RFC 8446.
package pki

import "fmt"

// A Role is what a party may do. Roles are ordered: each may do all that those before it may.
type Role uint8

// The roles. Zero is none of them.
const (
	Observer Role = 1 + iota // reads
	Client                   // also moves money
	Operator                 // also calls elections, injects faults, starts and stops processes
	Gateway                  // a trusted server: also acts for others, whose roles it has checked
	Node                     // a member: also joins the others
)

var roleNames = [...]string{Observer: "observer", Client: "client", Operator: "operator", Gateway: "gateway", Node: "node"}

// ParseRole reads the name of a role, such as "observer".
func ParseRole(text string) (Role, error) {
	for r := Observer; r <= Node; r++ {
		if roleNames[r] == text {
			return r, nil
		}
	}
	return 0, fmt.Errorf("pki: found the role %.40q; expected node, gateway, operator, client or observer", text)
}

func (r Role) String() string {
	if r.known() {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

func (r Role) known() bool { return r >= Observer && r <= Node }

// serves says whether parties of the role are servers.
func (r Role) serves() bool { return r == Gateway || r == Node }

// May says whether who has the role may do what needs another one. Without a role nobody may do anything.
func (r Role) May(need Role) bool { return r.known() && need.known() && r >= need }

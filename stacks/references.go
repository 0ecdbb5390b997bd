package stacks

import (
	"time"

	"ciranda.dev/app/references"
	"ciranda.dev/protocol/dgc"
)

// References says whether nodes of the spec make objects, and give references to one another.
func (s Spec) References() bool { return s.App == "references" }

// Leases are the rules by which objects of the spec are collected. Leases are short, so that one sees them end.
func (s Spec) Leases() dgc.LayerOptions {
	return dgc.LayerOptions{Lease: max(2*time.Second, 10*s.patience()), Resend: max(100*ms, s.patience())}.WithDefaults()
}

// Holder are the rules of the spec's nodes: each does something three times a second.
func (s Spec) Holder() references.Options { return references.Options{Every: 350 * ms} }

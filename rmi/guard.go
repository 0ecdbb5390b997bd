package rmi

import (
	"context"
	"fmt"

	"ciranda.dev/pki"
)

// guarded are the names of a cluster as others may use them: who is no operator only looks up. Code of this process uses them unguarded,
// also in the calls of others: what it does for them is its own affair.
type guarded struct{ Names }

// mayBind says that the caller may not change names, if that is so.
func mayBind(ctx context.Context) error {
	if p := Caller(ctx); p != nil && p.Identity().Role < pki.Operator {
		return fmt.Errorf("%w: found %s; changing names needs the role %s", ErrForbidden, p.Identity(), pki.Operator)
	}
	return nil
}

func (g *guarded) Bind(ctx context.Context, name string, ref Ref, tags map[string]string) error {
	if err := mayBind(ctx); err != nil {
		return err
	}
	return g.Names.Bind(ctx, name, ref, tags)
}

func (g *guarded) Rebind(ctx context.Context, name string, ref Ref, tags map[string]string) error {
	if err := mayBind(ctx); err != nil {
		return err
	}
	return g.Names.Rebind(ctx, name, ref, tags)
}

func (g *guarded) Unbind(ctx context.Context, name string) error {
	if err := mayBind(ctx); err != nil {
		return err
	}
	return g.Names.Unbind(ctx, name)
}

package rmi

import "context"

// NamesRemote makes Names known to others. It is written by hand, as what the generator would write.
var NamesRemote = NewInterface("ciranda.dev/rmi.Names", func(r *Remote) Names { return namesStub{r} })

// WatcherRemote makes a Watcher known to others.
var WatcherRemote = NewInterface("ciranda.dev/rmi.Watcher", func(r *Remote) Watcher { return watcherStub{r} })

type (
	bindIn struct {
		Name string            `cbor:"name"`
		Ref  Ref               `cbor:"ref"`
		Tags map[string]string `cbor:"tags,omitempty"`
	}
	nameIn struct {
		Name string `cbor:"name"`
	}
	entryOut struct {
		Entry Entry `cbor:"entry"`
	}
	prefixIn struct {
		Prefix string `cbor:"prefix"`
	}
	watchIn struct {
		Prefix  string `cbor:"prefix"`
		Watcher Ref    `cbor:"watcher"`
	}
	entriesOut struct {
		Entries  []Entry `cbor:"entries"`
		Revision uint64  `cbor:"revision"`
	}
	changedIn struct {
		Changes []Change `cbor:"changes"`
	}
)

var (
	namesBind = NewMethod(NamesRemote, "Bind", AtMostOnce,
		func(ctx context.Context, object Names, in *bindIn, _ *struct{}) error {
			return object.Bind(ctx, in.Name, in.Ref, in.Tags)
		})
	namesRebind = NewMethod(NamesRemote, "Rebind", AtMostOnce,
		func(ctx context.Context, object Names, in *bindIn, _ *struct{}) error {
			return object.Rebind(ctx, in.Name, in.Ref, in.Tags)
		})
	namesUnbind = NewMethod(NamesRemote, "Unbind", AtMostOnce,
		func(ctx context.Context, object Names, in *nameIn, _ *struct{}) error {
			return object.Unbind(ctx, in.Name)
		})
	namesLookup = NewMethod(NamesRemote, "Lookup", AtLeastOnce,
		func(ctx context.Context, object Names, in *nameIn, out *entryOut) (err error) {
			out.Entry, err = object.Lookup(ctx, in.Name)
			return err
		})
	namesList = NewMethod(NamesRemote, "List", AtLeastOnce,
		func(ctx context.Context, object Names, in *prefixIn, out *entriesOut) (err error) {
			out.Entries, out.Revision, err = object.List(ctx, in.Prefix)
			return err
		})
	namesWatch = NewMethod(NamesRemote, "Watch", AtMostOnce,
		func(ctx context.Context, object Names, in *watchIn, out *entriesOut) error {
			w, err := WatcherRemote.Take(ctx, Caller(ctx), in.Watcher)
			if err != nil {
				return Wrong("watcher", err)
			}
			out.Entries, out.Revision, err = object.Watch(ctx, in.Prefix, w)
			return err
		})
	watcherChanged = NewMethod(WatcherRemote, "Changed", AtMostOnce,
		func(ctx context.Context, object Watcher, in *changedIn, _ *struct{}) error {
			return object.Changed(ctx, in.Changes)
		})
)

type namesStub struct{ *Remote }

func (stub namesStub) Bind(ctx context.Context, name string, ref Ref, tags map[string]string) error {
	_, err := namesBind.Invoke(ctx, stub.Remote, &bindIn{name, ref, tags})
	return err
}

func (stub namesStub) Rebind(ctx context.Context, name string, ref Ref, tags map[string]string) error {
	_, err := namesRebind.Invoke(ctx, stub.Remote, &bindIn{name, ref, tags})
	return err
}

func (stub namesStub) Unbind(ctx context.Context, name string) error {
	_, err := namesUnbind.Invoke(ctx, stub.Remote, &nameIn{name})
	return err
}

func (stub namesStub) Lookup(ctx context.Context, name string) (Entry, error) {
	out, err := namesLookup.Invoke(ctx, stub.Remote, &nameIn{name})
	return out.Entry, err
}

func (stub namesStub) List(ctx context.Context, prefix string) ([]Entry, uint64, error) {
	out, err := namesList.Invoke(ctx, stub.Remote, &prefixIn{prefix})
	return out.Entries, out.Revision, err
}

func (stub namesStub) Watch(ctx context.Context, prefix string, w Watcher) ([]Entry, uint64, error) {
	ref, err := WatcherRemote.Pass(stub.Remote.Peer(), w)
	if err != nil {
		return nil, 0, err
	}
	out, err := namesWatch.Invoke(ctx, stub.Remote, &watchIn{prefix, ref})
	return out.Entries, out.Revision, err
}

type watcherStub struct{ *Remote }

func (stub watcherStub) Changed(ctx context.Context, changes []Change) error {
	_, err := watcherChanged.Invoke(ctx, stub.Remote, &changedIn{changes})
	return err
}

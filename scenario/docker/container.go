package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// startTime is how long a node may take until it answers, once its container runs.
const startTime = 20 * time.Second

// A container is a node's, through all its lives. A new one takes its place where its arguments must change.
type container struct {
	id      protocol.ID
	forgets bool // its node begins with an empty disk
	apart   bool // it is off the peers' network

	// Under the lock of running.
	state   cirandav1.NodeState
	life    protocol.Incarnation
	address string // of its gRPC port
	client  *api.Client
}

// host is the container's name on the peers' network.
func (c *container) host() string { return "node-" + c.id.String() }

func (r *running) nameOf(c *container) string { return r.name + "-" + c.host() }

func (r *running) container(id protocol.ID) *container { return r.containers[id-1] }

// create makes a container that has not started. Its disk is a volume, and stays what it is.
func (r *running) create(ctx context.Context, c *container, forget bool) error {
	name := r.nameOf(c)
	args := []string{"create", "--name", name, "--label", label + "=" + r.name, "--user", fmt.Sprintf("%d:%d", user, user),
		"--cap-drop", "ALL", "--network", r.controlNetwork(), "--publish", "127.0.0.1::" + grpcPort,
		"--dns", "127.0.0.1", // nobody there: names that the engine does not know are not asked for elsewhere
		"--env", r.share(), "--mount", "type=volume,source=" + name + ",target=" + dataDir + ",volume-label=" + label + "=" + r.name, r.image}
	if _, err := command(ctx, nil, append(args, r.arguments(c, forget)...)...); err != nil {
		return err
	}
	c.forgets = forget
	files, w := io.Pipe()
	go func() { w.CloseWithError(writeCredentials(w, r.credentials(c))) }()
	_, err := command(ctx, files, "cp", "-", name+":/")
	files.CloseWithError(err)
	if err == nil && !c.apart {
		err = r.connect(ctx, c)
	}
	return err
}

// connect puts a container on the peers' network.
func (r *running) connect(ctx context.Context, c *container) error {
	_, err := command(ctx, nil, "network", "connect", r.peersNetwork(), r.nameOf(c), "--alias", c.host())
	return err
}

// disconnect takes a container off the peers' network, with all connections it has there.
func (r *running) disconnect(ctx context.Context, c *container) error {
	_, err := command(ctx, nil, "network", "disconnect", r.peersNetwork(), r.nameOf(c))
	return err
}

// start starts a container that is there, and returns when its node answers and knows of the links.
func (r *running) start(ctx context.Context, c *container) error {
	r.heard.begins(c.id, node.Monotonic())
	if _, err := command(ctx, nil, "start", r.nameOf(c)); err != nil {
		return err
	}
	address, err := command(ctx, nil, "port", r.nameOf(c), grpcPort+"/tcp") // another one each time
	if err != nil {
		return r.whyDown(ctx, c, err)
	}
	address, _, _ = strings.Cut(address, "\n")
	client, err := api.Dial(address, r.access)
	if err != nil {
		return err
	}
	answer, err := r.awaitAnswer(ctx, c, client)
	if err != nil {
		client.Close()
		return r.whyDown(ctx, c, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.address, c.client, c.state = address, client, cirandav1.NodeState_NODE_STATE_UP
	c.life = protocol.Incarnation(answer.GetStatus().GetIncarnation())
	return nil
}

func (r *running) awaitAnswer(ctx context.Context, c *container, client *api.Client) (*cirandav1.DescribeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	answer, err := client.Node.Describe(ctx, &cirandav1.DescribeRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return nil, err
	}
	return answer, r.group.CatchUp(ctx, node.Member{Known: &cirandav1.NodeStatus{Id: uint32(c.id)}, Client: client})
}

// whyDown says why a node does not answer: in its own last words, if it has ended.
func (r *running) whyDown(ctx context.Context, c *container, err error) error {
	if ctx.Err() != nil {
		return err
	}
	state, failed := command(ctx, nil, "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", r.nameOf(c))
	if failed != nil || strings.HasPrefix(state, "running ") {
		return fmt.Errorf("node %d does not answer: %w", c.id, err)
	}
	return fmt.Errorf("node %d ended by itself: %s", c.id, cmp.Or(lastWords(ctx, r.nameOf(c)), state))
}

// become changes what is known of a container; without a client it can be asked no more.
func (r *running) become(c *container, state cirandav1.NodeState, client *api.Client) {
	r.mu.Lock()
	before := c.client
	c.state, c.client = state, client
	r.mu.Unlock()
	if before != nil && before != client {
		before.Close()
	}
}

// Kill ends a node without notice. It dies while the engine works; the time that is noted is right behind the last that
// was heard of it, so that nobody who takes its place does so while it counts as alive.
func (r *running) Kill(ctx context.Context, id protocol.ID) error {
	c := r.container(id)
	r.Killed(id)
	began := node.Monotonic()
	if _, err := command(ctx, nil, "kill", "--signal", "KILL", r.nameOf(c)); err != nil {
		return err
	}
	r.become(c, cirandav1.NodeState_NODE_STATE_DOWN, nil)
	r.mu.Lock()
	r.last = id
	r.mu.Unlock()
	r.group.Forget(id)
	r.group.Note(trace.Event{Kind: trace.Crash, Node: id, Inc: c.life, T: r.heard.ends(id, c.life, began)})
	return nil
}

// Recover starts a node that is down. A container keeps its arguments, so another one takes its place where they change.
func (r *running) Recover(ctx context.Context, id protocol.ID, diskLost bool) error {
	c := r.container(id)
	if c.forgets != diskLost {
		if _, err := command(ctx, nil, "rm", "--force", r.nameOf(c)); err != nil {
			return err
		}
		if err := r.create(ctx, c, diskLost); err != nil {
			return err
		}
	}
	return r.start(ctx, c)
}

// Pause makes a node stand still.
func (r *running) Pause(ctx context.Context, id protocol.ID) error {
	c := r.container(id)
	r.Paused(id)
	if err := freeze(ctx, r.nameOf(c)); err != nil {
		return err
	}
	r.become(c, cirandav1.NodeState_NODE_STATE_PAUSED, c.client)
	r.group.Note(trace.Event{Kind: trace.Pause, Node: id, Inc: c.life, T: node.Monotonic()})
	return nil
}

// freezes is how often the engine is asked to pause a container.
const freezes = 5

// freeze pauses a container. An engine that does not get hold of all threads of a busy process in time lets it go on and
// says that it was unable to freeze it. Asked again it usually can.
func freeze(ctx context.Context, name string) (err error) {
	for range freezes {
		if _, err = command(ctx, nil, "pause", name); err == nil || !strings.Contains(err.Error(), "unable to freeze") {
			return err
		}
	}
	return err
}

// Resume lets a paused node go on, and does to it what was to be done meanwhile.
func (r *running) Resume(ctx context.Context, id protocol.ID) error {
	c := r.container(id)
	r.group.Note(trace.Event{Kind: trace.Resume, Node: id, Inc: c.life, T: node.Monotonic()})
	if _, err := command(ctx, nil, "unpause", r.nameOf(c)); err != nil {
		return err
	}
	r.become(c, cirandav1.NodeState_NODE_STATE_UP, c.client)
	inTime, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := r.group.CatchUp(inTime, node.Member{Known: &cirandav1.NodeStatus{Id: uint32(id)}, Client: c.client}); err != nil {
		return err
	}
	return r.Resumed(ctx, id)
}

// survivors says whether all nodes run that should.
func (r *running) survivors(ctx context.Context) error {
	return r.each(r.containers, func(c *container) error {
		r.mu.Lock()
		down := c.state == cirandav1.NodeState_NODE_STATE_DOWN
		r.mu.Unlock()
		if down {
			return nil
		}
		runs, err := command(ctx, nil, "inspect", "--format", "{{.State.Running}}", r.nameOf(c))
		if err == nil && runs != "true" {
			err = r.whyDown(ctx, c, errors.New("it is not running"))
		}
		return err
	})
}

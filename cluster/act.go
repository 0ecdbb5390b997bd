package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"ciranda.dev/api"
	cirandav1 "ciranda.dev/api/ciranda/v1"
	"ciranda.dev/node"
	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// The acts on one node or gateway. Their callers hold s.acting.

// start starts what is down and waits until it answers; a node also until it knows what the others were told.
func (s *Supervisor) start(ctx context.Context, slot *slot, forget bool) error {
	client, err := api.Dial(s.address(slot.id, grpcPort), s.access)
	if err != nil {
		return err
	}
	p, err := s.spawner.spawn(s.program, s.command(slot, forget), s.share(), s.logPath(slot))
	if err != nil {
		client.Close()
		return err
	}
	s.mu.Lock()
	slot.process, slot.client, slot.problem = p, client, "it is starting"
	s.mu.Unlock()
	go s.watch(slot, p)
	answer, err := s.awaitAnswer(ctx, slot, p, client)
	if err != nil {
		p.kill()
		s.release(slot, p)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot.process == p {
		slot.state, slot.problem = cirandav1.NodeState_NODE_STATE_UP, ""
		slot.life = protocol.Incarnation(answer.GetStatus().GetIncarnation())
	}
	return nil
}

// awaitAnswer waits until a new process answers, and tells it what happens to messages on each link.
func (s *Supervisor) awaitAnswer(ctx context.Context, slot *slot, p *process, c *api.Client) (*cirandav1.DescribeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	go func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	answer, err := s.firstAnswer(ctx, slot, c)
	hint := "ciranda logs " + slot.word() + " has more"
	switch {
	case err == nil:
		return answer, nil
	case p.gone():
		why := s.lastWords(slot, p)
		if strings.HasPrefix(why, "disk: ") {
			hint = fmt.Sprintf("up --fresh, or ciranda fault replace %d while the others run, begins with an empty disk", slot.id)
		}
		return nil, api.Failed(hint, "%s did not start: %s", slot, why)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, api.Failed(hint, "%s has not answered in %s", slot, startTime)
	default:
		return nil, api.Failed(hint, "%s does not answer: %v", slot, err)
	}
}

// firstAnswer waits for the first answer; a gateway's tells nothing.
func (s *Supervisor) firstAnswer(ctx context.Context, slot *slot, c *api.Client) (*cirandav1.DescribeResponse, error) {
	if slot.gateway != "" {
		return nil, awaitGateway(ctx, c)
	}
	answer, err := c.Node.Describe(ctx, &cirandav1.DescribeRequest{}, grpc.WaitForReady(true))
	if err == nil {
		err = s.group.CatchUp(ctx, node.Member{Known: &cirandav1.NodeStatus{Id: uint32(slot.id)}, Client: c})
	}
	return answer, err
}

// command are the arguments of a process.
func (s *Supervisor) command(slot *slot, forget bool) []string {
	if slot.gateway != "" {
		return s.gatewayArguments(slot)
	}
	return s.arguments(slot.id, forget)
}

// arguments are those of a node's process.
func (s *Supervisor) arguments(id protocol.ID, forget bool) []string {
	var peers []string
	for _, slot := range s.slots {
		peers = append(peers, slot.id.String()+"="+s.address(slot.id, peerPort))
	}
	args := []string{"node", "--until-stdin-ends", "--cluster", s.cfg.Name, "--id", id.String(),
		"--peers", strings.Join(peers, ","), "--grpc", s.address(id, grpcPort), "--http", s.address(id, httpPort),
		"--dir", filepath.Join(s.dir, nodesDir, id.String()),
		"--election", s.shape.Election, "--detector", s.shape.Detector, "--profile", s.shape.Profile, "--app", s.shape.App, "--orders", s.shape.Orders}
	args = append(append(args, "--transport", s.shape.Transport), s.serves(id)...)
	args = append(args, s.shows(id.String())...)
	if s.cfg.Level != "" {
		args = append(args, "--level", s.cfg.Level)
	}
	if forget {
		args = append(args, "--forget")
	}
	return args
}

// serves are the arguments for what a process serves beside the usual.
func (s *Supervisor) serves(id protocol.ID) []string {
	if a := s.socket(id); a != "" {
		return []string{"--socket", a}
	}
	return nil
}

// socket is a process's port for plain sockets; empty if it has none.
func (s *Supervisor) socket(id protocol.ID) string {
	if !s.cfg.Sockets {
		return ""
	}
	return s.address(id, socketPort)
}

// share gives each node its share of the machine's cores, unless the user says otherwise. With all cores to each, the
// idle nodes of a cluster spend a quarter more time on waking threads.
func (s *Supervisor) share() []string {
	if os.Getenv("GOMAXPROCS") != "" {
		return nil
	}
	return []string{fmt.Sprintf("GOMAXPROCS=%d", max(1, runtime.NumCPU()/s.shape.Nodes))}
}

// watch notes the end of a process, expected or not.
func (s *Supervisor) watch(slot *slot, p *process) {
	<-p.ended
	if at := node.Monotonic(); s.release(slot, p) {
		s.note(trace.Crash, slot, at)
	}
}

// release makes a slot that of a node without a process, if it still has this one, and says whether its end is a
// surprise.
func (s *Supervisor) release(slot *slot, p *process) (surprise bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot.process != p {
		return false
	}
	if surprise = slot.state != cirandav1.NodeState_NODE_STATE_DOWN; surprise {
		slot.problem = "it ended by itself: " + s.lastWords(slot, p)
		s.log.Error("a process ended by itself", "of", slot.String(), "why", slot.problem)
	}
	slot.client.Close()
	slot.process, slot.client, slot.state = nil, nil, cirandav1.NodeState_NODE_STATE_DOWN
	return surprise
}

// end ends the process of a node in some way, so that it is no surprise. It is false if there is none.
func (s *Supervisor) end(slot *slot, how func(p *process, state cirandav1.NodeState) error) (bool, error) {
	s.mu.Lock()
	p, state := slot.process, slot.state
	slot.state, slot.problem = cirandav1.NodeState_NODE_STATE_DOWN, ""
	s.mu.Unlock()
	if p == nil {
		return false, nil
	}
	err := how(p, state)
	if p.gone() {
		s.release(slot, p)
	}
	if slot.gateway == "" {
		s.group.Forget(slot.id)
	}
	return true, err
}

// kill ends a node without notice.
func (s *Supervisor) kill(slot *slot) error {
	found, err := s.end(slot, func(p *process, _ cirandav1.NodeState) error {
		if slot.gateway == "" {
			s.mu.Lock()
			s.last = slot.id
			s.mu.Unlock()
		}
		s.note(trace.Crash, slot, node.Monotonic())
		return p.kill()
	})
	if !found {
		return api.Failed("ciranda fault restart "+slot.word()+" starts it", "%s is down already", slot)
	}
	return err
}

// stop ends a node in good order. One that stands still cannot do that and is killed.
func (s *Supervisor) stop(slot *slot) error {
	_, err := s.end(slot, func(p *process, state cirandav1.NodeState) error {
		if state == cirandav1.NodeState_NODE_STATE_UP {
			return p.stop(stopTime)
		}
		s.note(trace.Crash, slot, node.Monotonic())
		return p.kill()
	})
	return err
}

// pause makes a node stand still.
func (s *Supervisor) pause(ctx context.Context, slot *slot) error {
	p, client, err := s.in(slot, cirandav1.NodeState_NODE_STATE_UP)
	if err != nil {
		return err
	}
	if canPause {
		s.note(trace.Pause, slot, node.Monotonic())
		err = p.pause()
	} else if slot.gateway != "" {
		err = errFrozen
	} else { // the node notes it itself
		_, err = client.Node.Freeze(ctx, &cirandav1.FreezeRequest{Frozen: true})
	}
	if err == nil {
		s.become(slot, p, cirandav1.NodeState_NODE_STATE_PAUSED)
	}
	return err
}

// resume lets a paused node go on.
func (s *Supervisor) resume(ctx context.Context, slot *slot) error {
	p, client, err := s.in(slot, cirandav1.NodeState_NODE_STATE_PAUSED)
	if err != nil {
		return err
	}
	if canPause {
		s.note(trace.Resume, slot, node.Monotonic())
		err = p.resume()
	} else {
		_, err = client.Node.Freeze(ctx, &cirandav1.FreezeRequest{})
	}
	if err != nil {
		return err
	}
	s.become(slot, p, cirandav1.NodeState_NODE_STATE_UP)
	if slot.gateway != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return s.group.CatchUp(ctx, node.Member{Known: &cirandav1.NodeStatus{Id: uint32(slot.id)}, Client: client})
}

// in gives the process of a slot that is in a state, or says that it is in another.
func (s *Supervisor) in(slot *slot, want cirandav1.NodeState) (*process, *api.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot.state != want {
		return nil, nil, api.Failed("", "%s is %s, not %s", slot, StateName(slot.state), StateName(want))
	}
	return slot.process, slot.client, nil
}

func (s *Supervisor) become(slot *slot, p *process, state cirandav1.NodeState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot.process == p {
		slot.state = state
	}
}

// StateName is the word for a state: up, down or paused.
func StateName(s cirandav1.NodeState) string {
	switch s {
	case cirandav1.NodeState_NODE_STATE_UP:
		return "up"
	case cirandav1.NodeState_NODE_STATE_PAUSED:
		return "paused"
	default:
		return "down"
	}
}

// lastWords is why a process ended, as its log has it, or else how it ended.
func (s *Supervisor) lastWords(slot *slot, p *process) string {
	lines, err := tail(s.logPath(slot), 200)
	if err == nil && !p.cmd.ProcessState.Success() {
		for _, line := range slices.Backward(lines) {
			if text, ok := strings.CutPrefix(line, "ciranda: error: "); ok || strings.HasPrefix(line, "panic: ") {
				return text
			}
		}
	}
	return fmt.Sprint(p.cmd.ProcessState)
}

func (s *Supervisor) logPath(slot *slot) string {
	return LogLine{Node: slot.id, Gateway: slot.gateway}.path(s.dir)
}

// patience is how long an act on several nodes may take in all.
const patience = 2 * startTime

// acted names what was acted on.
type acted struct {
	nodes    []uint32
	gateways []string
}

// act does something to each node and gateway that the words of a request stand for, one after the other. Those in a
// state that does not fit are passed over, unless that leaves none: then do says why.
func (s *Supervisor) act(ctx context.Context, text string, fits func(cirandav1.NodeState) bool, do func(context.Context, *slot) error) (acted, error) {
	var done acted
	slots, err := s.named(ctx, text)
	if err != nil {
		return done, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience) // what was begun is finished
	defer cancel()
	s.acting.Lock()
	defer s.acting.Unlock()
	for _, slot := range s.fitting(slots, fits) {
		if err := do(ctx, slot); err != nil {
			return done, err
		}
		if slot.gateway != "" {
			done.gateways = append(done.gateways, slot.gateway)
		} else {
			done.nodes = append(done.nodes, uint32(slot.id))
		}
	}
	return done, nil
}

// named are the slots that the words of a request stand for: nodes, then gateways.
func (s *Supervisor) named(ctx context.Context, text string) ([]*slot, error) {
	if text == "" {
		return nil, api.Wrong("nodes", "no node was named; expected numbers, leader, last, all or a gateway's name")
	}
	nodes, slots, err := s.split(text)
	if err != nil || nodes == "" {
		return slots, err
	}
	ids, err := s.group.Resolve(ctx, "nodes", nodes)
	for i, id := range ids {
		slots = slices.Insert(slots, i, s.slots[id-1])
	}
	return slots, err
}

// fitting are those in a state that fits, or all of them if there is none.
func (s *Supervisor) fitting(slots []*slot, fits func(cirandav1.NodeState) bool) []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	fit := slices.DeleteFunc(slices.Clone(slots), func(slot *slot) bool { return !fits(slot.state) })
	if len(fit) == 0 {
		return slots
	}
	return fit
}

// The states that fit acts.
func isUp(s cirandav1.NodeState) bool     { return s == cirandav1.NodeState_NODE_STATE_UP }
func isPaused(s cirandav1.NodeState) bool { return s == cirandav1.NodeState_NODE_STATE_PAUSED }
func isAlive(s cirandav1.NodeState) bool  { return isUp(s) || isPaused(s) }
func isAny(cirandav1.NodeState) bool      { return true }

// Kill ends processes without notice.
func (s *Supervisor) Kill(ctx context.Context, r *cirandav1.KillRequest) (*cirandav1.KillResponse, error) {
	done, err := s.act(ctx, r.GetNodes(), isAlive, func(_ context.Context, slot *slot) error { return s.kill(slot) })
	return &cirandav1.KillResponse{Nodes: done.nodes, Gateways: done.gateways}, err
}

// Pause makes nodes stand still.
func (s *Supervisor) Pause(ctx context.Context, r *cirandav1.PauseRequest) (*cirandav1.PauseResponse, error) {
	done, err := s.act(ctx, r.GetNodes(), isUp, s.pause)
	return &cirandav1.PauseResponse{Nodes: done.nodes, Gateways: done.gateways, Frozen: !canPause}, err
}

// Resume lets paused nodes go on.
func (s *Supervisor) Resume(ctx context.Context, r *cirandav1.ResumeRequest) (*cirandav1.ResumeResponse, error) {
	done, err := s.act(ctx, r.GetNodes(), isPaused, s.resume)
	return &cirandav1.ResumeResponse{Nodes: done.nodes, Gateways: done.gateways}, err
}

// Restart stops nodes that are up, and starts all that are named.
func (s *Supervisor) Restart(ctx context.Context, r *cirandav1.RestartRequest) (*cirandav1.RestartResponse, error) {
	done, err := s.act(ctx, r.GetNodes(), isAny, func(ctx context.Context, slot *slot) error {
		if err := s.stop(slot); err != nil {
			return err
		}
		return s.start(ctx, slot, r.GetLoseDisk())
	})
	return &cirandav1.RestartResponse{Nodes: done.nodes, Gateways: done.gateways}, err
}

// Down stops all nodes. The supervisor ends when the answer is on its way.
func (s *Supervisor) Down(context.Context, *cirandav1.DownRequest) (*cirandav1.DownResponse, error) {
	s.stopAll()
	s.ask.Do(func() { time.AfterFunc(0, func() { close(s.asked) }) })
	return &cirandav1.DownResponse{}, nil
}

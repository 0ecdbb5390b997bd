package live

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/trace"
)

// flushAfter is how many messages are handled before the stack is told that a batch has ended, even if more wait.
const flushAfter = 1024

// run is the node's goroutine.
func (n *Node) run() {
	n.alarm = time.NewTimer(time.Hour)
	defer n.alarm.Stop()
	err := n.serve()
	close(n.done)
	ctx := context.Background()
	if n.ending != nil {
		ctx = n.ending.ctx
	}
	if err != nil { // as a crash would: at once
		gone, cancel := context.WithCancel(ctx)
		cancel()
		ctx = gone
		if !errors.Is(err, ErrKilled) {
			n.log.Error("the node ends", "node", n.self.ID, "why", err)
		}
	}
	if e := n.transport.Close(ctx); err == nil && ctx.Err() != nil {
		err = e // else a peer was gone, which is no failure of this node
	}
	n.err = err
	close(n.closed)
}

// serve takes inputs until the node is to end.
func (n *Node) serve() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = n.panicked(r)
		}
	}()
	if err := n.awaitClock(); err != nil {
		return err
	}
	n.start()
	for {
		if err := n.trouble(); err != nil {
			return err
		}
		now := time.Now()
		n.depart(now)
		if n.works(now) {
			n.watchDisk(now)
			if n.doubtful {
				n.reconsider(now)
			}
			n.expire()
			n.handle()
			if n.dirty && (n.handled >= flushAfter || len(n.pending)+len(n.inbox) == 0) {
				n.flush()
			}
			n.drain()
			if over, err := n.over(); over {
				return err
			}
		}
		n.wait()
	}
}

// awaitClock waits until the disk knows of the first stamps of the clock: what a life says is no news of it before.
func (n *Node) awaitClock() error {
	for !n.covers(0) {
		select {
		case do := <-n.control:
			do()
		case <-n.cfg.Disk.Changed():
		}
		if err := n.trouble(); err != nil {
			return err
		}
		if n.ending != nil {
			return fmt.Errorf("live: node %d was closed before its disk let it begin", n.self.ID)
		}
	}
	return nil
}

// start is the first step.
func (n *Node) start() {
	now := time.Now()
	life := trace.Life{Stored: n.cfg.Disk != nil && n.cfg.Disk.Recovered()}
	if n.self.Incarnation == 1 {
		n.begin(now, trace.Event{Kind: trace.Start, Data: life})
		n.stack.Start(n.inputs(now), &n.out)
	} else {
		n.begin(now, trace.Event{Kind: trace.Recover, Data: life})
		stored := func(string) ([]byte, bool) { return nil, false }
		if n.cfg.Disk != nil {
			stored = n.cfg.Disk.Stored
		}
		n.stack.Recover(stored, n.inputs(now), &n.out)
	}
	n.carry()
}

// trouble is what makes the node end without being asked.
func (n *Node) trouble() error {
	if n.cfg.Disk != nil && n.cfg.Disk.Err() != nil {
		return fmt.Errorf("live: node %d: %w", n.self.ID, n.cfg.Disk.Err())
	}
	if limit := 4 * n.cfg.Options.Waiting; n.gate.len() > limit {
		return fmt.Errorf("live: node %d: more than %d outputs wait for the disk", n.self.ID, limit)
	}
	if n.ending != nil && n.ending.killed {
		return ErrKilled
	}
	return nil
}

// panicked describes a panic of a handler.
func (n *Node) panicked(r any) error {
	stack := "its state cannot be shown"
	func() {
		defer func() { _ = recover() }()
		stack = n.stack.String()
	}()
	return fmt.Errorf("live: node %d, incarnation %d: panic: %v\n%s\n%s", n.self.ID, n.self.Incarnation, r, stack, debug.Stack())
}

// works says whether a step may be taken now.
func (n *Node) works(now time.Time) bool {
	return !n.frozen && (n.slow == 0 || !now.Before(n.until))
}

// takes says whether messages and calls may enter.
func (n *Node) takes() bool {
	return n.ending == nil && len(n.pending) == 0 && n.gate.len() < n.cfg.Options.Waiting
}

// wait waits for the next input and takes it.
func (n *Node) wait() {
	var inbox chan batch
	var calls chan *call
	var asks chan *ask
	var disk <-chan struct{}
	var ended <-chan struct{}
	now := time.Now()
	works := n.works(now)
	if works && n.takes() {
		inbox = n.inbox
		if n.stack.Ready() {
			calls = n.calls
		}
	}
	if works {
		asks = n.asks
	}
	if n.cfg.Disk != nil {
		disk = n.cfg.Disk.Changed()
	}
	if n.ending != nil {
		ended = n.ending.ctx.Done()
	}
	n.setAlarm(now, works)
	select {
	case b := <-inbox:
		n.take(b)
	case c := <-calls:
		n.call(c)
	case a := <-asks:
		a.answer, a.ok = n.stack.Answer(a.question)
		close(a.done)
	case do := <-n.control:
		do()
	case <-n.alarm.C:
	case <-disk:
	case <-ended:
	}
}

// setAlarm sets the runtime's timer to the moment at which there is something to do without an input.
func (n *Node) setAlarm(now time.Time, works bool) {
	d := time.Hour
	if works && n.ending == nil {
		if at, ok := n.timers.next(); ok {
			d = n.clock.until(at, now)
		}
		if !n.stalled {
			d = min(d, n.untilStalled(now))
		}
	} else if !works && !n.frozen {
		d = n.until.Sub(now)
	}
	if at, ok := n.shim.next(); ok {
		d = min(d, at.Sub(now))
	}
	n.alarm.Reset(max(d, 0))
}

// expire takes a step for each timer that is due; for those that such a step arms, only the next time.
func (n *Node) expire() {
	for range len(n.timers.heap) {
		now := time.Now()
		if !n.works(now) || n.ending != nil {
			return
		}
		name, late, ok := n.timers.pop(n.clock.monotonic(now))
		if !ok {
			return
		}
		n.stats.Fired++
		n.stats.Late += late
		n.begin(now, trace.Event{Kind: trace.TimerFire, Layer: name.layer, Timer: name.timer})
		n.stack.Expire(name.layer, name.timer, n.inputs(now), &n.out)
		n.carry()
	}
}

// handle takes a step for each message of the batch, or passes on the news of a connection.
func (n *Node) handle() {
	for len(n.pending) > 0 {
		now := time.Now()
		if !n.works(now) {
			return
		}
		a := n.pending[0]
		n.pending[0] = arrival{}
		n.pending = n.pending[1:]
		n.handled++
		n.receive(now, &a)
	}
}

// flush tells the stack that no more input is at hand.
func (n *Node) flush() {
	n.dirty, n.handled = false, 0
	if n.stack.Flushes() {
		now, until := time.Now(), n.until
		n.step++
		n.now = n.clock.trace(now)
		n.stack.Flush(n.inputs(now), &n.out)
		n.carry()
		n.dirty, n.until = false, until // it belongs to the steps before, and is not slow itself
	}
}

// notify gives the stack an indication from the bottom. News of the disk is recorded at once: it would come too late
// behind what waits for that disk.
func (n *Node) notify(now time.Time, e protocol.Event) {
	if _, ok := e.(protocol.Disk); ok {
		n.step++
		n.now = n.clock.trace(now)
		n.input(&trace.Event{Kind: trace.Noted, Data: e})
	} else {
		n.begin(now, trace.Event{Kind: trace.Noted, Data: e})
	}
	n.stack.Notify(e, n.inputs(now), &n.out)
	n.carry()
}

func (n *Node) inputs(now time.Time) protocol.Inputs {
	n.stats.Steps++
	n.dirty = true
	if n.slow > 0 {
		n.until = now.Add(n.slow)
	}
	n.local = n.clock.monotonic(now)
	return protocol.Inputs{Now: n.local, Wall: n.clock.wall(now), Lamport: max(n.lamport.Time(), n.heard), Draw: n.draw}
}

// watchDisk tells the stack when the disk has stalled, and when it answers again.
func (n *Node) watchDisk(now time.Time) {
	if stalled := n.untilStalled(now) <= 0; stalled != n.stalled && n.ending == nil {
		n.stalled = stalled
		n.notify(now, protocol.Disk{Stalled: stalled})
	}
}

// untilStalled is how long until the disk counts as stalled, if it goes on as it does.
func (n *Node) untilStalled(now time.Time) time.Duration {
	if n.cfg.Disk != nil {
		if oldest, waiting := n.cfg.Disk.Oldest(); waiting {
			return oldest.Add(n.cfg.Options.DiskLimit).Sub(now)
		}
	}
	return time.Hour
}

// beginEnd begins the end of the node.
func (n *Node) beginEnd(e *ending) {
	if n.ending == nil || e.killed {
		n.ending, n.pending = e, nil
		n.now = n.clock.trace(time.Now())
		n.thaw()
		n.until = time.Time{}
	}
}

// over takes the last steps of a node that is to end in good order, and says when it has ended.
func (n *Node) over() (bool, error) {
	e := n.ending
	if e == nil {
		return false, nil
	}
	if !e.stopping {
		e.stopping = true
		n.notify(time.Now(), protocol.Stopping{})
		n.flush()
		n.drain()
	}
	if n.gate.len() > 0 {
		if e.ctx.Err() == nil {
			return false, nil
		}
		return true, fmt.Errorf("live: node %d: %d outputs still waited for the disk: %w", n.self.ID, n.gate.len(), e.ctx.Err())
	}
	n.departAll()
	n.now = n.clock.trace(time.Now())
	n.tell(trace.Stop, 0, 0, nil)
	return true, nil
}

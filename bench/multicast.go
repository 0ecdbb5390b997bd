package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ciranda.dev/protocol"
	"ciranda.dev/protocol/multicast"
)

// A MulticastResult says how fast a group of real processes delivers what all of its members send at once, and how soon
// one message is delivered when there is no other. Beside it is what the same processes carry over bare TCP.
//
// A delivery is a message that a member delivers, its own ones too. What is measured of it begins one second after the
// senders; FirstSecond tells of that second.
type MulticastResult struct {
	Order        string  `json:"order"`
	Uniform      bool    `json:"uniform"`
	TLS          bool    `json:"tls"`
	Members      int     `json:"members"`
	Size         int     `json:"size"`                           // of a message, in bytes
	Delivered    float64 `json:"delivered_per_s_per_member"`     // mean over the members
	P50          float64 `json:"p50_ms"`                         // idle: until the sender delivers its own message, all members but the coordinator in turn
	P99          float64 `json:"p99_ms"`                         // the same
	Raw          float64 `json:"raw_delivered_per_s_per_member"` // bare TCP, no TLS: a full mesh with writes of 64 KiB
	Ratio        float64 `json:"ratio_to_raw"`                   // Delivered over Raw
	RawRTT       float64 `json:"raw_rtt_us"`                     // p50 of a bare round trip of Size bytes over TCP, from one processor to another, in the same turns
	RawRTTFree   float64 `json:"raw_rtt_free_us"`                // the same where the system places the two processes as it likes
	LatencyRatio float64 `json:"latency_ratio"`                  // P50 over RawRTT
	FirstSecond  float64 `json:"first_second_share"`             // deliveries in the first second, over those in a later one
	Samples      int     `json:"samples"`                        // that P50 and P99 rest on
	CPU          float64 `json:"cpu_us_per_delivery"`            // of all members' processes, in the system too
	RawCPU       float64 `json:"raw_cpu_us_per_delivery"`        // the same for Raw
}

// LeastMessage is the size of the smallest message that [Multicast] can send: it says who sent it.
const LeastMessage = 16

// MulticastOptions say what is measured.
type MulticastOptions struct {
	Order    multicast.Order
	Uniform  bool
	Members  int           // 2 or more; zero means 5
	Size     int           // of a message, in bytes, LeastMessage or more; zero means 1024
	For      time.Duration // how long all members send; zero means 4s
	Insecure bool          // no TLS between the members
	Progress func(done, of int)
}

// startFor is how long it may take until the members are a group.
const startFor = 10 * time.Second

// The parts of a measurement beside the sending. The raw mesh has a turn before it and one after it.
func (o MulticastOptions) rawFor() time.Duration     { return o.For * 3 / 8 }
func (o MulticastOptions) latencyFor() time.Duration { return o.For / 2 }

// firstFor is how long the beginning of the sending is, which is not measured with the rest.
func firstFor(length time.Duration) time.Duration { return min(time.Second, length/4) }

// Multicast measures. Each member is a process of its own, which runs [ServeMulticast]: this program with the arguments
// "bench multicast-member".
func Multicast(ctx context.Context, o MulticastOptions) (result MulticastResult, err error) {
	if o.Members == 0 {
		o.Members = 5
	}
	if o.Size == 0 {
		o.Size = 1024
	}
	if o.For == 0 {
		o.For = 4 * time.Second
	}
	c, err := gather(ctx, o)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	m := &casting{crew: c, o: o, result: MulticastResult{
		Order: o.Order.String(), Uniform: o.Uniform, TLS: !o.Insecure, Members: o.Members, Size: o.Size}}
	steps := []func() error{c.meet, m.rawTurn, m.load, m.rawTurn, m.latency}
	for i, step := range steps {
		if o.Progress != nil {
			o.Progress(i, len(steps))
		}
		if err := step(); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx) // the members end with it
			}
			return result, err
		}
	}
	return m.finish(), nil
}

// casting is a measurement going on.
type casting struct {
	crew   *crew
	o      MulticastOptions
	result MulticastResult
	raw    []float64 // deliveries a second and member, one a turn
	rawCPU []float64 // microseconds a delivery, one a turn
	casts  []float64 // microseconds
	trips  []float64 // microseconds, from one processor to another
	free   []float64 // microseconds, wherever the processes ran
}

// rawTurn lets the raw mesh run.
func (m *casting) rawTurn() error {
	reports, err := m.crew.all(task{Do: "raw", For: m.o.rawFor()})
	if err != nil {
		return err
	}
	sum, busy := 0.0, 0.0
	for _, r := range reports {
		sum += r.PerSecond / float64(m.o.Size)
		busy += r.Busy
	}
	m.raw = append(m.raw, sum/float64(len(reports)))
	m.rawCPU = append(m.rawCPU, busy*1e6/sum)
	return nil
}

// load lets all members send, then waits until all have delivered all of it, and compares what they delivered.
func (m *casting) load() error {
	reports, err := m.crew.all(task{Do: "load", For: m.o.For})
	if err != nil {
		return err
	}
	total, warm, first, busy := uint64(0), 0.0, 0.0, 0.0
	for _, a := range reports {
		total += a.Cast
		busy += a.Busy
		warm += a.PerSecond / float64(len(reports))
		first += float64(a.First) / float64(len(reports))
	}
	m.result.Delivered = warm
	m.result.FirstSecond = first / firstFor(m.o.For).Seconds() / warm
	m.result.CPU = busy * 1e6 / (warm * float64(len(reports)))
	if reports, err = m.crew.all(task{Do: "settle", Total: total}); err != nil {
		return err
	}
	return m.agree(reports)
}

// agree says how members differ in what they delivered, if they do.
func (m *casting) agree(reports []report) error {
	inOrder := m.o.Order == multicast.Total || m.o.Order == multicast.Lamport
	for i, a := range reports[1:] {
		switch one := reports[0]; {
		case a.Sum != one.Sum:
			return fmt.Errorf("bench: members 1 and %d have not delivered the same messages", i+2)
		case inOrder && a.Hash != one.Hash:
			return fmt.Errorf("bench: members 1 and %d have not delivered the messages in the same order", i+2)
		}
	}
	return nil
}

// latency lets the members send in turn, one message after the other, and each time make raw round trips too. The
// coordinator has no turn: it need not ask anybody.
func (m *casting) latency() error {
	others := m.crew.others()
	const rounds = 2
	part := m.o.latencyFor() / time.Duration(3*rounds*len(others))
	for range rounds {
		for _, id := range others {
			if err := m.turn(id, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn is the turn of one member.
func (m *casting) turn(id protocol.ID, part time.Duration) error {
	trips := task{Do: "trips", For: part, Peer: m.crew.head}
	free := keepApart(m.crew.pid(id), m.crew.pid(m.crew.head))
	apart, err := m.crew.one(id, trips)
	free()
	if err != nil {
		return err
	}
	anywhere, err := m.crew.one(id, trips)
	if err != nil {
		return err
	}
	casts, err := m.crew.one(id, task{Do: "casts", For: part})
	m.trips = append(m.trips, apart.Took...)
	m.free = append(m.free, anywhere.Took...)
	m.casts = append(m.casts, casts.Took...)
	return err
}

func (m *casting) finish() MulticastResult {
	r := m.result
	slices.Sort(m.casts)
	slices.Sort(m.trips)
	slices.Sort(m.free)
	r.Raw = (m.raw[0] + m.raw[1]) / 2
	r.RawCPU = (m.rawCPU[0] + m.rawCPU[1]) / 2
	r.Ratio = r.Delivered / r.Raw
	r.P50, r.P99, r.Samples = percentile(m.casts, 0.5)/1e3, percentile(m.casts, 0.99)/1e3, len(m.casts)
	r.RawRTT, r.RawRTTFree = percentile(m.trips, 0.5), percentile(m.free, 0.5)
	r.LatencyRatio = r.P50 * 1e3 / r.RawRTT
	return r
}

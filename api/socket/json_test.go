package socket

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	cirandav1 "ciranda.dev/api/ciranda/v1"
)

// samples are messages with all that the contract has: lists, maps, choices, enums, what may be absent.
func samples() []proto.Message {
	delay, loss, total := "5ms", 0.25, int64(math.MinInt64)
	return []proto.Message{
		&cirandav1.BalancesResponse{Total: &total, Accounts: []*cirandav1.BalancesResponse_Balance{{Id: 1}, {}}},
		&cirandav1.DescribeResponse{Peers: map[uint32]string{1: "a", 1 << 31: "\x7f\u2028é😀"},
			Status: &cirandav1.NodeStatus{State: cirandav1.NodeState_NODE_STATE_PAUSED, Suspects: []uint32{1, 2}, Lamport: math.MaxUint64}},
		&cirandav1.SetFaultRequest{Fault: &cirandav1.Fault{Kind: &cirandav1.Fault_Link_{Link: &cirandav1.Fault_Link{Delay: &delay, Loss: &loss}}}},
		&cirandav1.SetFaultRequest{Fault: &cirandav1.Fault{Kind: &cirandav1.Fault_Clock_{Clock: &cirandav1.Fault_Clock{JumpMs: -5, Rate: 1e-300}}}},
		&cirandav1.SetClockRequest{Rate: math.Inf(-1)},
		&cirandav1.EchoRequest{Payload: []byte{0, 1, 0xff, '"'}},
		&cirandav1.StatusRequest{},
		&cirandav1.TakeResponse{Snapshot: &cirandav1.Snapshot{ElapsedMs: 0.5, Nodes: []*cirandav1.Snapshot_State{{State: object(
			map[string]any{"a": nil, "é\u2028<": []any{1.5, -1e300, "x\n", true, map[string]any{}}, "": map[string]any{"n": 9007199254740992.0}})}}}},
	}
}

func object(values map[string]any) *structpb.Struct {
	s, err := structpb.NewStruct(values)
	if err != nil {
		panic(err)
	}
	return s
}

// What is written is JSON as everybody reads it, and is read back the same.
func TestRoundTrip(t *testing.T) {
	for _, m := range samples() {
		b := appendMessage(nil, m)
		if !json.Valid(b) || bytes.ContainsAny(b, "\n\r") {
			t.Errorf("%T: got %s", m, b)
		}
		again := m.ProtoReflect().New().Interface()
		if err := decode(b, again, true); err != nil || !proto.Equal(m, again) {
			t.Errorf("%s: got %v, %v; want %v", b, again, err, m)
		}
		other := m.ProtoReflect().New().Interface()
		if err := protojson.Unmarshal(b, other); err != nil || !proto.Equal(m, other) {
			t.Errorf("%s: protojson reads %v, %v; want %v", b, other, err, m)
		}
		theirs, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		third := m.ProtoReflect().New().Interface()
		if err := decode(theirs, third, true); err != nil || !proto.Equal(m, third) {
			t.Errorf("%s: got %v, %v; want %v", theirs, third, err, m)
		}
	}
}

// The contract has no types whose JSON form is a special one, but for Struct: others are not implemented.
func TestNoSpecialTypes(t *testing.T) {
	n := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("ciranda.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Messages().Len() {
			fields := f.Messages().Get(i).Fields()
			for j := range fields.Len() {
				n++
				if m := fields.Get(j).Message(); m != nil && m.FullName().Parent() == "google.protobuf" && m.FullName() != structName {
					t.Errorf("%s is a %s", fields.Get(j).FullName(), m.FullName())
				}
			}
		}
		return true
	})
	if n < 50 {
		t.Errorf("found %d fields", n)
	}
}

func TestChoices(t *testing.T) {
	for in, want := range map[string]string{
		`{"fault":{"isolate":{},"cut":{}}}`:                         "fault.cut",
		`{"fault":{"partition":{"sides":["1",2]}}}`:                 "fault.partition.sides[1]",
		`{"fault":{"link":{"loss":"much"}}}`:                        "fault.link.loss",
		`{"fault":{"link":{"loss":1e999}}}`:                         "fault.link.loss",
		`{"fault":{"link":{"loss":0.5,"loss":0.5}}}`:                "fault.link.loss",
		`{"fault":{"link":{"` + strings.Repeat("é", 100) + `":1}}}`: "fault.link." + strings.Repeat("é", 40) + "…",
	} {
		err := decode([]byte(in), &cirandav1.SetFaultRequest{}, true)
		if err == nil || problemOf(err).field != want {
			t.Errorf("%s: got %v; want the field %s", in, err, want)
		}
	}
	m := &cirandav1.DescribeResponse{}
	for in, want := range map[string]string{
		`{"peers":{"1":"a","1":"b"}}`: "peers[1]", `{"peers":{"x":"a"}}`: "peers[x]", `{"peers":{"2":2}}`: "peers[2]",
		`{"status":{"state":"UP"}}`: "status.state", `{"status":{"state":77}}`: "status.state",
	} {
		proto.Reset(m)
		if err := decode([]byte(in), m, true); err == nil || problemOf(err).field != want {
			t.Errorf("%s: got %v; want the field %s", in, err, want)
		}
	}
	proto.Reset(m)
	if err := decode([]byte(`{"new":[{"a":null}],"stack":"s","status":{"state":2}}`), m, false); err != nil || m.Stack != "s" || m.Status.State != 2 {
		t.Errorf("a field of a later version: got %v, %v", m, err)
	}
}

// FuzzRequest sends lines to a server. Each is answered by one line, and what is wrong is named.
func FuzzRequest(f *testing.F) {
	for _, m := range samples() {
		f.Add(appendRequest(nil, 1, "echo.echo", Deadline, func(b []byte) []byte { return appendMessage(b, m) }))
	}
	f.Add([]byte(`{"id":"a","call":"bank.transfer","args":{"from":1,"to":2,"amount":"5","id":{"client":"c","number":1}}}`))
	f.Add([]byte(`{"call":"help","args":{"call":"echo.echo"}}`))
	s := newServer(Options{}, refuses)
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) > MaxLine {
			return
		}
		r, err := parseRequest(line)
		var answer []byte
		if err != nil {
			answer = finish(r.id, nil, err)
		} else {
			answer = s.do(t.Context(), r)
		}
		if !json.Valid(answer) || bytes.IndexByte(answer, '\n') != len(answer)-1 {
			t.Errorf("%q: got %q", line, answer)
		}
		if !json.Valid(line) && err == nil {
			t.Errorf("%q is no JSON and is taken", line)
		}
		if p := problemOf(err); err != nil && (p.message == "" || p.code != 3) {
			t.Errorf("%q: got %+v", line, p)
		}
		if len(answer) > 8*len(line)+64<<10 {
			t.Errorf("%q: the answer has %d bytes", line, len(answer))
		}
	})
}

// FuzzMessage reads arguments of every shape, and writes what it understood. That is read the same.
func FuzzMessage(f *testing.F) {
	all := samples()
	for i, m := range all {
		f.Add(uint8(i), appendMessage(nil, m))
	}
	f.Fuzz(func(t *testing.T, which uint8, line []byte) {
		if !json.Valid(line) { // strings of what is no UTF-8 do not come here
			return
		}
		m := all[int(which)%len(all)].ProtoReflect().New().Interface()
		if parsed, err := parseRequest(append(append([]byte(`{"call":"x","args":`), line...), '}')); err != nil || decode(parsed.args, m, true) != nil {
			return
		}
		again := m.ProtoReflect().New().Interface()
		if err := decode(appendMessage(nil, m), again, true); err != nil || !bytes.Equal(appendMessage(nil, m), appendMessage(nil, again)) && !proto.Equal(m, again) {
			t.Errorf("%q: got %v, then %v, %v", line, m, again, err)
		}
	})
}

// FuzzAnswer reads what a server may send.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"id":1,"result":{"payload":"eA==","later":[1,{"a":null}]}}`))
	f.Add([]byte(`{"id":1,"error":{"code":"not_found","message":"m","field":"f","hint":"h","later":1}}`))
	f.Add([]byte(`{"result":{}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := parseAnswer(line)
		if err != nil {
			if err.Error() == "" {
				t.Errorf("%q: the error says nothing", line)
			}
			return
		}
		if (a.problem == nil) == (a.result == nil) {
			t.Errorf("%q: got %+v", line, a)
		}
		if a.problem == nil {
			decode(a.result, &cirandav1.StatusResponse{}, false)
		} else if a.problem.GRPCStatus().Code() == 0 {
			t.Errorf("%q: an error without an error", line)
		}
	})
}

package udp_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A lab is three nodes in network namespaces of their own, on a bridge in a fourth: nothing leaves them.
type lab struct {
	t     *testing.T
	dir   string
	name  string // of the namespaces, but for the node's number
	nodes map[int]*exec.Cmd
}

const multicastGroup = "239.77.7.7:7946"

// newLab needs root and Linux's tools; without them there is nothing to be tested, and it says so.
func newLab(t *testing.T) *lab {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED ALOUD: real multicast is not tested with -short")
	}
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("SKIPPED ALOUD: real multicast is tested in network namespaces, which need root and the command ip")
	}
	l := &lab{t: t, dir: t.TempDir(), name: "cir" + strconv.Itoa(os.Getpid()%100000) + "n", nodes: map[int]*exec.Cmd{}}
	if out, err := exec.Command("ip", "netns", "add", l.ns(0)).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED ALOUD: no network namespace can be made here: %s", out)
	}
	t.Cleanup(l.close)
	l.run("go", "build", "-o", l.path("ciranda"), "ciranda.dev/cmd/ciranda")
	l.ip(0, "link", "add", "name", "bridge0", "type", "bridge", "mcast_snooping", "0")
	l.ip(0, "link", "set", "bridge0", "up")
	l.ciranda("pki", "init", "--authority", l.path("ca"), "--cluster", "lab")
	l.ciranda("pki", "issue", "--authority", l.path("ca"), "--role", "client", "ana", "--out", l.path("ana"))
	for i := 1; i <= 3; i++ {
		l.attach(i)
		l.ciranda("pki", "issue", "--authority", l.path("ca"), "--role", "node", strconv.Itoa(i), "--out", l.path("c", i))
	}
	return l
}

// attach makes a namespace with an interface on the bridge.
func (l *lab) attach(i int) {
	l.run("ip", "netns", "add", l.ns(i))
	l.run("ip", "link", "add", "eth0", "netns", l.ns(i), "type", "veth", "peer", "name", fmt.Sprint("port", i), "netns", l.ns(0))
	l.ip(0, "link", "set", fmt.Sprint("port", i), "master", "bridge0", "up")
	l.ip(i, "link", "set", "lo", "up")
	l.ip(i, "addr", "add", fmt.Sprintf("10.77.7.%d/24", i), "dev", "eth0")
	l.ip(i, "link", "set", "eth0", "up")
}

func (l *lab) ns(i int) string { return l.name + strconv.Itoa(i) }

func (l *lab) path(name string, number ...int) string {
	for _, i := range number {
		name += strconv.Itoa(i)
	}
	return filepath.Join(l.dir, name)
}

func (l *lab) run(name string, args ...string) string {
	l.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (l *lab) ip(i int, args ...string) {
	l.t.Helper()
	l.run("ip", append([]string{"-n", l.ns(i)}, args...)...)
}

func (l *lab) ciranda(args ...string) string { l.t.Helper(); return l.run(l.path("ciranda"), args...) }

// in is a command within the namespace of a node.
func (l *lab) in(i int, name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", l.ns(i), name}, args...)...)
}

func (l *lab) start(i int) {
	l.t.Helper()
	cmd := l.in(i, l.path("ciranda"), "node", "--id", strconv.Itoa(i), "--cluster", "lab", "--dir", l.path("d", i),
		"--peers", "1=10.77.7.1:7000,2=10.77.7.2:7000,3=10.77.7.3:7000", "--credentials", l.path("c", i),
		"--grpc", "127.0.0.1:7001", "--http", "127.0.0.1:7002", "--udp", multicastGroup, "--udp-interface", "eth0")
	log, err := os.Create(l.path("log", i))
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.nodes[i] = cmd
}

func (l *lab) startAll() {
	for i := 1; i <= 3; i++ {
		l.start(i)
	}
}

// close ends what the lab began, and nothing else.
func (l *lab) close() {
	for i, cmd := range l.nodes {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if l.t.Failed() {
			l.t.Logf("node %d: %s", i, l.logOf(i))
		}
	}
	for i := range 4 {
		exec.Command("ip", "netns", "del", l.ns(i)).Run()
	}
}

// metric is the sum of a metric's samples at a node whose labels contain a text; -1 if the node does not answer.
func (l *lab) metric(i int, name, labels string) float64 {
	out, err := l.in(i, "curl", "-s", "--max-time", "2", "--cacert", l.path("ana")+"/authority.pem", "--cert", l.path("ana")+"/certificate.pem",
		"--key", l.path("ana")+"/key.pem", "https://127.0.0.1:7002/metrics").Output()
	if err != nil || len(out) == 0 {
		return -1
	}
	sum := 0.0
	for _, m := range regexp.MustCompile(`(?m)^ciranda_`+name+`(\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(string(out), -1) {
		if strings.Contains(m[1], labels) {
			v, _ := strconv.ParseFloat(m[2], 64)
			sum += v
		}
	}
	return sum
}

// await asks again and again until something holds.
func (l *lab) await(what string, holds func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-ctx.Done():
			l.t.Fatalf("in vain awaited: %s", what)
		}
	}
}

// awaitAll awaits a value of a metric at all nodes.
func (l *lab) awaitAll(name string, value float64) {
	l.t.Helper()
	for i := 1; i <= 3; i++ {
		l.await(fmt.Sprintf("%s %v at node %d", name, value, i), func() bool { return l.metric(i, name, "") == value })
	}
}

// talk sends messages from each node and sees that all nodes deliver all of them, in the same order.
func (l *lab) talk(count int) {
	l.t.Helper()
	var listeners []*exec.Cmd
	var heard []*bytes.Buffer
	for i := 1; i <= 3; i++ {
		cmd := l.in(i, l.path("ciranda"), "multicast", "--listen", "--order", "total", "--count", strconv.Itoa(3*count), "-o", "json",
			"--addr", "127.0.0.1:7001", "--credentials", l.path("ana"))
		out := &bytes.Buffer{}
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		if err := cmd.Start(); err != nil {
			l.t.Fatal(err)
		}
		listeners, heard = append(listeners, cmd), append(heard, out)
		l.await("a listener", func() bool { return l.metric(i, "multicast_listeners", "") >= 1 })
	}
	var lines strings.Builder
	for k := range count {
		fmt.Fprintf(&lines, "message %d %s\n", k, strings.Repeat("x", k%500))
	}
	var senders []*exec.Cmd
	for i := 1; i <= 3; i++ {
		cmd := l.in(i, l.path("ciranda"), "multicast", "--order", "total", "-", "--addr", "127.0.0.1:7001", "--credentials", l.path("ana"))
		cmd.Stdin, cmd.Stderr = strings.NewReader(lines.String()), os.Stderr
		if err := cmd.Start(); err != nil {
			l.t.Fatal(err)
		}
		senders = append(senders, cmd)
	}
	for _, cmd := range append(senders, listeners...) {
		finish := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			l.t.Fatalf("%s: %v", cmd, err)
		}
		finish.Stop()
	}
	order := regexp.MustCompile(`"sender": ?(\d+).*?"payload": ?"(message \d+)`)
	want := order.FindAllString(heard[0].String(), -1)
	if len(want) != 3*count {
		l.t.Fatalf("node 1 delivered %d messages, want %d: %.300s", len(want), 3*count, heard[0])
	}
	stamp := regexp.MustCompile(`"(lamport|seq|view)": ?\d+,?`)
	for i, h := range heard[1:] {
		a, b := stamp.ReplaceAllString(heard[0].String(), ""), stamp.ReplaceAllString(h.String(), "")
		if a != b {
			l.t.Errorf("nodes 1 and %d delivered different messages or in another order", i+2)
		}
	}
}

// On a network that carries multicast messages go by it, all deliver them, and what is hostile is dropped.
func TestNamespaces(t *testing.T) {
	l := newLab(t)
	l.startAll()
	l.awaitAll("multicast_broadcasting", 1)
	l.talk(200)
	for i := 1; i <= 3; i++ {
		sent, got := l.metric(i, "udp_datagrams_total", "sent"), l.metric(i, "udp_datagrams_total", "received")
		if sent < 20 || got < 20 {
			t.Errorf("node %d sent %v datagrams and received %v", i, sent, got)
		}
	}
	if text := l.shown(1); !strings.Contains(text, "messages go by IP multicast: ") {
		t.Errorf("group does not say so: %s", text)
	}
	before := l.metric(1, "udp_dropped_total", "malformed")
	out, err := l.in(2, "bash", "-c", "for i in 1 2 3; do echo hostile > /dev/udp/10.77.7.1/7946; done").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l.await("hostile datagrams are counted", func() bool { return l.metric(1, "udp_dropped_total", "malformed") >= before+3 })
	l.talk(20)
}

// With one datagram of ten lost on the way to each node all is delivered still.
func TestNamespacesWithLoss(t *testing.T) {
	l := newLab(t)
	l.startAll()
	l.awaitAll("multicast_broadcasting", 1)
	for i := 1; i <= 3; i++ {
		out, err := l.in(i, "iptables", "-A", "INPUT", "-p", "udp", "-m", "statistic", "--mode", "random", "--probability", "0.1", "-j", "DROP").CombinedOutput()
		if err != nil {
			t.Skipf("SKIPPED ALOUD: this system cannot lose datagrams with iptables: %s", out)
		}
	}
	l.talk(200)
	repairs := 0.0
	for i := 1; i <= 3; i++ {
		repairs += l.metric(i, "multicast_repairs_total", "")
	}
	if repairs == 0 {
		t.Error("nothing was lost, so this is no test")
	}
	t.Logf("%v batches were sent again", repairs)
}

// On a network that carries no multicast messages go over connections, and the nodes say so.
func TestNamespacesWithoutMulticast(t *testing.T) {
	l := newLab(t)
	for i := 1; i <= 3; i++ {
		l.ip(0, "link", "set", fmt.Sprint("port", i), "type", "bridge_slave", "mcast_flood", "off")
	}
	l.startAll()
	l.awaitAll("group_members", 3)
	l.await("a node says so", func() bool {
		return strings.Contains(l.logOf(1), "does not carry IP multicast") && strings.Contains(l.logOf(1), "found no answer")
	})
	l.talk(20)
	if v := l.metric(1, "multicast_broadcasting", ""); v != 0 {
		t.Errorf("node 1 broadcasts: %v", v)
	}
	if text := l.shown(1); !strings.Contains(text, "not by IP multicast: found no answer to datagrams from node 2, 3") {
		t.Errorf("group does not say so: %s", text)
	}
}

// When a network that carried multicast ceases to, what was lost is repaired, and links take over.
func TestNamespacesWhereMulticastEnds(t *testing.T) {
	l := newLab(t)
	l.startAll()
	l.awaitAll("multicast_broadcasting", 1)
	for i := 1; i <= 3; i++ {
		l.ip(0, "link", "set", fmt.Sprint("port", i), "type", "bridge_slave", "mcast_flood", "off")
	}
	l.talk(300)
	l.talk(300) // a node judges what became of its datagrams when it sends more
	l.await("a node says that it has given up", func() bool {
		return regexp.MustCompile("go over connections.*too much of what was broadcast").MatchString(l.logOf(1) + l.logOf(2) + l.logOf(3))
	})
}

// shown is what "ciranda group" prints at a node.
func (l *lab) shown(i int) string {
	l.t.Helper()
	out, err := l.in(i, l.path("ciranda"), "group", "--node", strconv.Itoa(i), "--addr", "127.0.0.1:7001", "--credentials", l.path("ana")).CombinedOutput()
	if err != nil {
		l.t.Fatalf("group: %v: %s", err, out)
	}
	return string(out)
}

// logOf is what a node has logged until now.
func (l *lab) logOf(i int) string {
	b, _ := os.ReadFile(l.path("log", i))
	return string(b)
}

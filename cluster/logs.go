package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ciranda.dev/protocol"
)

func logPath(dir string, id protocol.ID) string {
	name := "supervisor.log"
	if id != protocol.None {
		name = "node-" + id.String() + ".log"
	}
	return filepath.Join(dir, logsDir, name)
}

// SupervisorLog opens the log of a supervisor that runs without a terminal.
func SupervisorLog(name string) (*os.File, error) {
	dir, err := Dir(name)
	if err != nil {
		return nil, err
	}
	return openLog(logPath(dir, protocol.None))
}

// tailBytes is how far from its end a log is read.
const tailBytes = 256 << 10

// tail gives the last lines of a file.
func tail(path string, n int) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > tailBytes {
		f.Seek(-tailBytes, io.SeekEnd)
	}
	b, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return nil, err
	}
	text := strings.TrimRight(string(b), "\n")
	if text == "" {
		return nil, nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):], nil
}

// A LogLine is a line of the log of a gateway if one is named, else of a node; of the supervisor, if Node is None too.
type LogLine struct {
	Node    protocol.ID `json:"node"`
	Gateway string      `json:"gateway,omitempty"`
	Line    string      `json:"line"`
}

// path is the file of the log that a line is of.
func (l LogLine) path(dir string) string {
	if l.Gateway != "" {
		return filepath.Join(dir, logsDir, l.Gateway+".log")
	}
	return logPath(dir, l.Node)
}

// Logs gives the last lines of the logs of a cluster, running or not: of the nodes and gateways named in words, or of all
// and of the supervisor if words is empty. With follow it goes on until ctx ends.
func Logs(ctx context.Context, name, words string, lines int, follow bool, print func(LogLine)) error {
	dir, err := Dir(name)
	if err != nil {
		return err
	}
	var shape Shape
	if err := readJSON(filepath.Join(dir, shapeFile), &shape); errors.Is(err, fs.ErrNotExist) {
		return failure("ciranda up starts it", "there never was a cluster %q here", name)
	} else if err != nil {
		return err
	}
	logs, err := logged(dir, words, shape.Nodes)
	if err != nil {
		return err
	}
	ends := make([]int64, len(logs))
	for i, l := range logs {
		if ends[i], err = printTail(dir, l, lines, print); err != nil {
			return err
		}
	}
	for follow {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		for i, l := range logs {
			ends[i] = printSince(dir, l, ends[i], print)
		}
	}
	return nil
}

// logged gives the logs that are meant, each as a line without text.
func logged(dir, words string, nodes int) ([]LogLine, error) {
	found, _ := filepath.Glob(filepath.Join(dir, logsDir, "gateway-*.log"))
	var logs, gateways []LogLine
	for _, path := range found {
		gateways = append(gateways, LogLine{Gateway: strings.TrimSuffix(filepath.Base(path), ".log")})
	}
	if words == "" || words == "all" {
		for id := range nodes + 1 {
			logs = append(logs, LogLine{Node: protocol.ID(id)})
		}
		return append(logs, gateways...), nil
	}
	for word := range strings.SplitSeq(words, ",") {
		if i := slices.Index(gateways, LogLine{Gateway: word}); i >= 0 {
			logs = append(logs, gateways[i])
			continue
		}
		id, err := strconv.Atoi(word)
		if err != nil || id < 1 || id > nodes {
			return nil, mistake(fmt.Sprintf("the nodes are 1-%d; gateways go by names such as gateway-1", nodes), "unknown node %.40q", word)
		}
		logs = append(logs, LogLine{Node: protocol.ID(id)})
	}
	return logs, nil
}

func printTail(dir string, of LogLine, n int, print func(LogLine)) (end int64, err error) {
	info, err := os.Stat(of.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	lines, err := tail(of.path(dir), n)
	for _, of.Line = range lines {
		print(of)
	}
	return info.Size(), err
}

// printSince prints the whole lines that were added, and gives where they end.
func printSince(dir string, of LogLine, since int64, print func(LogLine)) int64 {
	f, err := os.Open(of.path(dir))
	if err != nil {
		return 0 // none yet
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() < since {
		since = 0 // another file of the same name
	}
	f.Seek(since, io.SeekStart)
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return since
		}
		since += int64(len(line))
		of.Line = strings.TrimSuffix(line, "\n")
		print(of)
	}
}

package world

import (
	"errors"
	"slices"
	"strings"

	"ciranda.dev/protocol"
)

// Faults that cut or mend many links at once: each is one step, and one fault in the trace.

// Partition lets nothing get through between nodes of different sides. What is cut within a side stays so.
func (w *World) Partition(sides [][]protocol.ID) {
	text := sidesText(sides)
	w.note(Step{Do: Partition, What: text})
	for i, side := range sides {
		for _, id := range side {
			for _, other := range slices.Concat(sides[:i]...) {
				w.sever(id, other)
			}
		}
	}
	w.everywhere("partition " + strings.ReplaceAll(text, "/", " / "))
}

// Isolate lets nothing get through to or from nodes.
func (w *World) Isolate(ids []protocol.ID) {
	text := sidesText([][]protocol.ID{ids})
	w.note(Step{Do: Isolate, What: text})
	for _, id := range ids {
		for _, other := range w.group {
			w.sever(id, other)
		}
	}
	w.everywhere("isolate " + text)
}

// Heal mends all that is cut.
func (w *World) Heal() {
	w.note(Step{Do: Heal})
	clear(w.cuts)
	w.everywhere("heal all")
}

// sever cuts both directions of a link.
func (w *World) sever(a, b protocol.ID) {
	if a != b {
		w.cuts[pair{a, b}], w.cuts[pair{b, a}] = true, true
	}
}

// everywhere records a fault that is no single link's.
func (w *World) everywhere(text string) { w.fault(text, protocol.None, protocol.None) }

// applySides takes a step about sides.
func (w *World) applySides(s Step) string {
	sides, err := parseSides(s.What)
	if err != nil {
		return "expected " + err.Error()
	}
	for _, id := range slices.Concat(sides...) {
		if !w.Valid(id) {
			return "there is no such node"
		}
	}
	w.now = s.At
	if s.Do == Isolate {
		w.Isolate(sides[0])
	} else {
		w.Partition(sides)
	}
	return ""
}

// sidesText writes sides as steps do: 1,2/3,4,5.
func sidesText(sides [][]protocol.ID) string {
	var parts []string
	for _, side := range sides {
		var ids []string
		for _, id := range side {
			ids = append(ids, id.String())
		}
		parts = append(parts, strings.Join(ids, ","))
	}
	return strings.Join(parts, "/")
}

// parseSides undoes sidesText.
func parseSides(text string) ([][]protocol.ID, error) {
	var sides [][]protocol.ID
	for part := range strings.SplitSeq(text, "/") {
		var side []protocol.ID
		for word := range strings.SplitSeq(part, ",") {
			id, err := parseNode(word)
			if err != nil {
				return nil, errors.New("nodes such as 1,2, and / between sides")
			}
			side = append(side, id)
		}
		sides = append(sides, side)
	}
	return sides, nil
}

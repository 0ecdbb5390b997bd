package check

import (
	"strconv"

	"ciranda.dev/app/board"
	"ciranda.dev/protocol"
	"ciranda.dev/protocol/transfer"
	"ciranda.dev/trace"
)

// describeTransfer fills in what happens to states and boards.
func describeTransfer(e *trace.Event, words []string) error {
	var n [4]uint64
	for i, w := range words[1:] {
		if v, err := strconv.ParseUint(w, 16, 64); err == nil && i < len(n) {
			n[i] = v
		}
	}
	e.Kind = trace.Noted
	switch words[0] {
	case "keeps": // view root
		e.Data = transfer.Keeping{View: n[0], Root: transfer.Root(n[1])}
	case "loads": // view root from
		e.Data = transfer.Loaded{View: n[0], Root: transfer.Root(n[1]), From: protocol.ID(n[2])}
	case "ready": // view
		e.Kind, e.Data = trace.Told, transfer.Ready{View: n[0]}
	case "notice": // count hash
		e.Data = board.Added{Count: n[0], Hash: board.Hash(n[1]), New: 1}
	case "board": // since count hash
		e.Data = board.Given{Since: n[0], Count: n[1], Hash: board.Hash(n[2])}
	case "spoilt":
		e.Data = board.Spoilt{Why: "cut"}
	default:
		return describeCall(e, words)
	}
	return nil
}

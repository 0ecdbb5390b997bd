package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"ciranda.dev/protocol"
)

// The file of records is a row of blocks. One block is what was written at once and synced at once:
//
//	offset 8 bytes | length 4 | checksum 4 | records: key length, key, value length, value, …
//
// Numbers of fixed size are little-endian, lengths of records are varints. The offset is the block's own place in the
// file. The checksum (CRC32C) is of the offset, the length and the records. The last block may be torn: nothing of it
// had been confirmed. A later block proves that an earlier one had been confirmed.
const (
	headSize = 16
	maxBlock = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord adds a record to the body of a block.
func appendRecord(b []byte, r *protocol.Record) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(r.Key))), r.Key...)
	return append(binary.AppendUvarint(b, uint64(len(r.Value))), r.Value...)
}

// fillHead fills in the first headSize bytes of a block.
func fillHead(block []byte, offset int64) {
	binary.LittleEndian.PutUint64(block, uint64(offset))
	binary.LittleEndian.PutUint32(block[8:], uint32(len(block)-headSize))
	binary.LittleEndian.PutUint32(block[12:], checksum(block))
}

func checksum(block []byte) uint32 {
	return crc32.Update(crc32.Checksum(block[:12], castagnoli), castagnoli, block[headSize:])
}

// blockAt gives the body of the block at an offset, or false if there is no whole one.
func blockAt(file []byte, offset int) ([]byte, bool) {
	if len(file)-offset < headSize || binary.LittleEndian.Uint64(file[offset:]) != uint64(offset) {
		return nil, false
	}
	length := binary.LittleEndian.Uint32(file[offset+8:])
	if length > maxBlock || int(length) > len(file)-offset-headSize {
		return nil, false
	}
	block := file[offset : offset+headSize+int(length)]
	return block[headSize:], binary.LittleEndian.Uint32(block[12:]) == checksum(block)
}

// readRecords gives the last value of each key. A torn block at the end is passed over.
func readRecords(file []byte) (map[string][]byte, error) {
	records := map[string][]byte{}
	for at := 0; at < len(file); {
		body, whole := blockAt(file, at)
		if !whole {
			if later := findBlock(file, at+1); later > 0 {
				return nil, fmt.Errorf("the block at byte %d is damaged, though what follows at byte %d was written after it "+
					"had been confirmed: the disk lost it", at, later)
			}
			return records, nil
		}
		if err := readBlock(body, records); err != nil {
			return nil, fmt.Errorf("the block at byte %d: %w", at, err)
		}
		at += headSize + len(body)
	}
	return records, nil
}

// findBlock gives the offset of the first whole block at or after an offset, or 0.
func findBlock(file []byte, from int) int {
	for at := from; at+headSize <= len(file); at++ {
		if _, whole := blockAt(file, at); whole {
			return at
		}
	}
	return 0
}

func readBlock(body []byte, records map[string][]byte) error {
	for len(body) > 0 {
		key, rest, err := readString(body)
		if err != nil {
			return fmt.Errorf("a key: %w", err)
		}
		value, rest, err := readString(rest)
		if err != nil {
			return fmt.Errorf("the value of %q: %w", key, err)
		}
		records[string(key)] = bytes.Clone(value)
		body = rest
	}
	return nil
}

var errLength = errors.New("found a length beyond the block's end")

func readString(b []byte) (s, rest []byte, err error) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, nil, errLength
	}
	return b[n : n+int(length)], b[n+int(length):], nil
}

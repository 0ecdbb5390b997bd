package api

// The code in ciranda/v1 is generated from the .proto files there, by the programs that tools/go.mod names.
//
//go:generate go tool -modfile=../tools/go.mod buf generate

//go:build race

package rmi

// raceDetector says that these tests run under the race detector, which makes them some ten times slower.
const raceDetector = true

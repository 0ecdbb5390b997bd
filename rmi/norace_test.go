//go:build !race

package rmi

// raceDetector says that these tests run under the race detector.
const raceDetector = false

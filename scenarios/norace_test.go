//go:build !race

package scenarios_test

// raceDetector says that these tests run under the race detector.
const raceDetector = false

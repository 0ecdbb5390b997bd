package network

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// A Source is a stream of random numbers. The generator (PCG) and the distributions are fixed, so that a seed keeps
// its meaning.
type Source struct{ pcg rand.PCG }

// NewSource gives the stream of a seed. Streams of one seed and different names are independent.
func NewSource(seed, name uint64) *Source {
	s := &Source{}
	s.pcg.Seed(mix(seed), mix(name^0x9e3779b97f4a7c15))
	return s
}

// mix spreads near numbers far apart (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Uint64n gives a number in [0, n).
func (s *Source) Uint64n(n uint64) uint64 {
	hi, lo := bits.Mul64(s.pcg.Uint64(), n)
	if lo < n {
		for t := -n % n; lo < t; {
			hi, lo = bits.Mul64(s.pcg.Uint64(), n)
		}
	}
	return hi
}

// Intn gives a number in [0, n).
func (s *Source) Intn(n int) int { return int(s.Uint64n(uint64(n))) }

// Float64 gives a number in [0, 1).
func (s *Source) Float64() float64 { return float64(s.pcg.Uint64()>>11) / (1 << 53) }

// Chance is true with probability p. It draws nothing where p is 0.
func (s *Source) Chance(p float64) bool { return p > 0 && s.Float64() < p }

// Exponential gives a number of mean 1.
func (s *Source) Exponential() float64 { return -math.Log(1 - s.Float64()) }

// Normal gives a number of mean 0 and deviation 1 (Marsaglia's polar method).
func (s *Source) Normal() float64 {
	for {
		u, v := 2*s.Float64()-1, 2*s.Float64()-1
		if q := float64(u*u) + float64(v*v); q > 0 && q < 1 {
			return u * math.Sqrt(-2*math.Log(q)/q)
		}
	}
}

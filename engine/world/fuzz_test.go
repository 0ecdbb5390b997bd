package world

import "testing"

// What is read as a step reads the same once written.
func FuzzParseStep(f *testing.F) {
	for _, seed := range []string{
		"2s crash 5", "2s crash 5 after 3", "0s start 1", "1.5s deliver 1→5 Election +2", "1s cut 1→2", "1s jump 3 -5s", "1s rate 2 500000ppm", "1.5s deliver 1->5 Election", "20ms fire 3 silence", "1s cut 1->2", "1s heal", "3s draw 117", "1s partition 1,2/3,4,5", "1s isolate 1,2", "1s isolate 1/2", "1s partition 1,/2",
		"", "1s", "1s crash", "1s crash 70000", "-1s crash 5", "1s deliver 1->5", "1s deliver 1->5 #18446744073709551616", "1s what 1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStep(text)
		if err != nil {
			return
		}
		again, err := ParseStep(s.String())
		if err != nil || again != s {
			t.Errorf("%q: written as %q it reads %+v, %v; want %+v", text, s.String(), again, err, s)
		}
	})
}

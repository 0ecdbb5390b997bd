package cli

import "os"

// resizes never tells: the size is looked at before each line.
func resizes() (resized <-chan os.Signal, stop func()) { return nil, func() {} }

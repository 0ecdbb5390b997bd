// Command ciranda is a laboratory for distributed systems: ciranda up starts five processes that elect a leader.
package main

import (
	"os"

	"ciranda.dev/cli"
)

func main() { os.Exit(cli.Main()) }

// Eggtimer rings when time is up. One process keeps the time for others, and calls them back.
//
//	eggtimer 127.0.0.1:7300             # keeps the time
//	eggtimer 127.0.0.1:7300 4m eggs     # is told when the eggs are done
//
// Both need the same EGGTIMER_SECRET in their environment.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"ciranda.dev/rmi"
)

//go:generate go tool rmigen

// A Timer rings a bell when time is up. For more than an hour Start fails with ErrTooLong.
//
//rmi:remote
type Timer interface {
	Start(ctx context.Context, d time.Duration, what string, bell Bell) error
}

// A Bell is what a Timer calls back.
//
//rmi:remote
type Bell interface {
	Ring(ctx context.Context, what string) error
}

// ErrTooLong is the same error in both processes.
var ErrTooLong = errors.New("that is too long")

func init() { rmi.RegisterError("eggtimer.ErrTooLong", ErrTooLong) }

// A kitchen is a Timer.
type kitchen struct{}

func (kitchen) Start(_ context.Context, d time.Duration, what string, bell Bell) error {
	if d > time.Hour {
		return fmt.Errorf("%w: found %v, expected an hour or less", ErrTooLong, d)
	}
	time.AfterFunc(d, func() {
		if err := bell.Ring(context.Background(), what); err != nil {
			log.Printf("nobody hears of the %s: %v", what, err)
		}
	})
	return nil
}

// A bell is a Bell that passes on what it rings for.
type bell chan string

func (b bell) Ring(_ context.Context, what string) error {
	b <- what
	return nil
}

func main() {
	ctx, options := context.Background(), rmi.Options{Secret: []byte(os.Getenv("EGGTIMER_SECRET"))}
	if len(os.Args) == 2 {
		node := must(rmi.Listen(os.Args[1], options))
		ref := must(TimerRemote.Export(node, kitchen{}))
		must(ref, node.Names().Bind(ctx, "kitchen", ref, nil))
		fmt.Println("open at", node.Addr())
		select {} // until somebody ends the process
	}
	node := must(rmi.Dial(ctx, os.Args[1], options))
	timer, rings := must(TimerRemote.Lookup(ctx, node, "kitchen")), make(bell, 1)
	err := timer.Start(ctx, must(time.ParseDuration(os.Args[2])), os.Args[3], rings)
	if errors.Is(err, ErrTooLong) {
		log.Fatalln("take a calendar:", err)
	}
	must(timer, err)
	fmt.Println("the", <-rings, "are done")
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatalln(err)
	}
	return v
}

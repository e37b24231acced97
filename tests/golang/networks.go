// tests/golang/networks.go: runs the programs that test_networks.c has written on Go's own runtime, and compares.
//
//	networks FILE
//
// One program a line: threads, channels, capacities, then for each thread the number of its calls and for each call what it does, the
// channel, the value, and how it came out. A goroutine that stays on a call is let go by a channel that closes, once all have come as far as they should.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	send, recv, shut = 0, 1, 2
	closed, stuck    = -1, -2
)

type call struct{ what, channel, value, outcome int }

// What a call does; a send to, or a close of, a closed channel panics.
func do(c call, ch chan int, free chan struct{}) (outcome int) {
	defer func() {
		if recover() != nil {
			outcome = closed
		}
	}()
	switch c.what {
	case send:
		select {
		case ch <- c.value:
			return 0
		case <-free:
			return stuck
		}
	case recv:
		select {
		case v, ok := <-ch:
			if !ok {
				return closed
			}
			return v
		case <-free:
			return stuck
		}
	}
	close(ch)
	return 0
}

func run(n []int) error {
	next := func() int { v := n[0]; n = n[1:]; return v }
	threads, channels := next(), next()
	chans := make([]chan int, channels)
	for i := range chans {
		chans[i] = make(chan int, next())
	}
	calls := make([][]call, threads)
	want := int64(0)
	for t := range calls {
		calls[t] = make([]call, next())
		for i := range calls[t] {
			calls[t][i] = call{next(), next(), next(), next()}
			if calls[t][i].outcome != stuck {
				want++
			}
		}
	}
	free := make(chan struct{})
	var came int64
	var wrong atomic.Value
	var all sync.WaitGroup
	for t := range calls {
		all.Add(1)
		go func(t int) {
			defer all.Done()
			for i, c := range calls[t] {
				got := do(c, chans[c.channel], free)
				if got != c.outcome {
					wrong.Store(fmt.Sprintf("thread %d, call %d: Go says %d, weir %d", t, i, got, c.outcome))
				}
				if got == stuck {
					return
				}
				atomic.AddInt64(&came, 1)
			}
		}(t)
	}
	late := time.Now().Add(10 * time.Second)
	for atomic.LoadInt64(&came) < want && wrong.Load() == nil && time.Now().Before(late) {
		runtime.Gosched()
	}
	close(free)
	all.Wait()
	if w := wrong.Load(); w != nil {
		return fmt.Errorf("%s", w)
	}
	if came != want {
		return fmt.Errorf("%d calls came back, on weir %d", came, want)
	}
	return nil
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	lines, differ := 0, 0
	for in := bufio.NewScanner(file); in.Scan(); lines++ {
		var n []int
		for _, word := range strings.Fields(in.Text()) {
			v, err := strconv.Atoi(word)
			if err != nil {
				fmt.Printf("line %d: %v\n", lines+1, err)
				os.Exit(2)
			}
			n = append(n, v)
		}
		if err := run(n); err != nil {
			differ++
			fmt.Printf("line %d: %v\n", lines+1, err)
		}
	}
	fmt.Printf("%d programs, %d come out differently\n", lines, differ)
	if lines == 0 || differ > 0 {
		os.Exit(1)
	}
}

// bench/select.go: select over Go's channels, as bench/worker_select.c does it. The select statements themselves, whose number of cases
// Go fixes when it compiles, are written by bench.mk: choose and tries, for 2, 8 and 64 channels.
package main

import (
	"fmt"
	"os"
	"time"
)

func feed(t *task, channels []chan uint64, all bool) {
	t.begin()
	n := uint64(len(channels))
	for v := t.first; v <= t.last; v++ {
		if all {
			channels[v%n] <- v
		} else {
			channels[n/2] <- v
		}
	}
	t.finish()
}

func selects(n int, all bool, count uint64, cpus []int) int64 {
	channels := make([]chan uint64, n)
	for i := range channels {
		channels[i] = make(chan uint64, capacity)
	}
	tasks := []task{{cpu: cpus[0], first: 1, last: count}, {cpu: cpus[1]}}
	return measure(tasks, []func(){
		func() { feed(&tasks[0], channels, all) },
		func() {
			t := &tasks[1]
			t.begin()
			t.count, t.sum = count, choose[n](channels, count)
			t.finish()
		},
	}, count)
}

func trySelects(n int, count uint64, cpus []int) int64 {
	channels := make([]chan uint64, n)
	for i := range channels {
		channels[i] = make(chan uint64, capacity)
	}
	pin(cpus[0])
	began := time.Now()
	found := tries[n](channels, count)
	elapsed := time.Since(began)
	if found != 0 {
		fmt.Fprintln(os.Stderr, "an idle channel was ready")
		os.Exit(1)
	}
	return int64(elapsed)
}

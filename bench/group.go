// bench/group.go: Go's own errgroup, semaphore and mutex, for bench_sync: `group_go TASKS LIMIT` prints nanoseconds for each task.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	tasks, _ := strconv.Atoi(os.Args[1])
	limit, _ := strconv.Atoi(os.Args[2])
	begun := time.Now()
	g, _ := errgroup.WithContext(context.Background())
	g.SetLimit(limit)
	for i := 0; i < tasks; i++ {
		g.Go(func() error { return nil })
	}
	if g.Wait() != nil {
		os.Exit(1)
	}
	fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(tasks))
}

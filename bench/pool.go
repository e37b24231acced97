// bench/pool.go: what a Go program has for a pool, for bench_pool: `pool_go workers|semaphore JOBS SUBMITTERS NANOSECONDS` prints nanoseconds for each job.
// workers: a channel of 256 that two goroutines receive from; semaphore: a goroutine for each job, two at a time.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

func main() {
	jobs, _ := strconv.Atoi(os.Args[2])
	submitters, _ := strconv.Atoi(os.Args[3])
	ns, _ := strconv.Atoi(os.Args[4])
	work := func() {
		if ns == 0 {
			return
		}
		for until := time.Now().Add(time.Duration(ns)); time.Now().Before(until); {
		}
	}
	each := jobs / submitters
	var submitting, running sync.WaitGroup
	queue := make(chan func(), 256)
	places := make(chan struct{}, 2)
	begun := time.Now()
	if os.Args[1] == "workers" {
		for i := 0; i < 2; i++ {
			running.Add(1)
			go func() {
				for job := range queue {
					job()
				}
				running.Done()
			}()
		}
	}
	for i := 0; i < submitters; i++ {
		submitting.Add(1)
		go func() {
			for k := 0; k < each; k++ {
				if os.Args[1] == "workers" {
					queue <- work
					continue
				}
				places <- struct{}{}
				running.Add(1)
				go func() {
					work()
					<-places
					running.Done()
				}()
			}
			submitting.Done()
		}()
	}
	submitting.Wait()
	close(queue)
	running.Wait()
	fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(each*submitters))
}

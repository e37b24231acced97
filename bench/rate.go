// bench/rate.go: Go's own rate limiter, for bench_guard: `rate_go OPERATIONS GOROUTINES` prints nanoseconds for each decision that admits.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

func main() {
	operations, _ := strconv.Atoi(os.Args[1])
	goroutines, _ := strconv.Atoi(os.Args[2])
	limiter := rate.NewLimiter(1e9, 1000000)
	each := operations / goroutines
	var all sync.WaitGroup
	begun := time.Now()
	for g := 0; g < goroutines; g++ {
		all.Add(1)
		go func() {
			for i := 0; i < each; i++ {
				if !limiter.Allow() {
					os.Exit(1)
				}
			}
			all.Done()
		}()
	}
	all.Wait()
	fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(each*goroutines))
}

// bench/breaker.go: sony/gobreaker v2.0, for bench_guard: `breaker_go OPERATIONS GOROUTINES` prints nanoseconds for each admission and success.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

func main() {
	operations, _ := strconv.Atoi(os.Args[1])
	goroutines, _ := strconv.Atoi(os.Args[2])
	breaker := gobreaker.NewTwoStepCircuitBreaker[int](gobreaker.Settings{})
	each := operations / goroutines
	var all sync.WaitGroup
	begun := time.Now()
	for g := 0; g < goroutines; g++ {
		all.Add(1)
		go func() {
			for i := 0; i < each; i++ {
				done, err := breaker.Allow()
				if err != nil {
					os.Exit(1)
				}
				done(true)
			}
			all.Done()
		}()
	}
	all.Wait()
	fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(each*goroutines))
}

// bench/pipeline.go: a source, maps and a sink as goroutines, for bench_pipeline: `pipeline_go NUMBERS MAPS` prints nanoseconds for each number.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	count, _ := strconv.ParseInt(os.Args[1], 10, 64)
	maps, _ := strconv.ParseInt(os.Args[2], 10, 64)
	begun := time.Now()
	in := make(chan int64, 256)
	go func(out chan<- int64) {
		for i := int64(0); i < count; i++ {
			out <- i
		}
		close(out)
	}(in)
	for i := int64(0); i < maps; i++ {
		out := make(chan int64, 256)
		go func(in <-chan int64, out chan<- int64) {
			for v := range in {
				out <- v + 1
			}
			close(out)
		}(in, out)
		in = out
	}
	var sum int64
	for v := range in {
		sum += v
	}
	if sum != count*(count-1)/2+count*maps {
		os.Exit(1)
	}
	fmt.Println(float64(time.Since(begun).Nanoseconds()) / float64(count))
}

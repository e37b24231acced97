// bench/chan.go: the same runs as bench/shapes.h, on Go's channel. Called as the other workers are:
//
//	chan_go chan|chan_meet flow|ping|idle|one|all|try SENDERS RECEIVERS COUNT CPU CPU
//	chan_go version
//
// Prints the nanoseconds that it took (idle: that it used of the CPU). GOMAXPROCS is left alone. A pinned goroutine is locked to its
// thread, and the thread pinned.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const capacity = 1024

var (
	epoch = time.Now() // elapsed times are on the monotonic clock
	ready sync.WaitGroup
	start = make(chan struct{})
)

func now() int64 { return int64(time.Since(epoch)) }

func pin(cpu int) {
	if cpu < 0 {
		return
	}
	runtime.LockOSThread()
	var mask [128]uint64
	mask[cpu/64] |= 1 << (cpu % 64)
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		fmt.Fprintln(os.Stderr, "cannot run on CPU", cpu)
	}
}

// One goroutine's part.
type task struct {
	cpu             int
	first, last     uint64
	count, sum      uint64
	began, finished int64
	_               [8]uint64 // two tasks share no cache line
}

func (t *task) begin() {
	pin(t.cpu)
	ready.Done()
	<-start
	t.began = now()
}

func (t *task) finish() { t.finished = now() }

func produce(t *task, ch chan uint64, sending *int32) {
	t.begin()
	for v := t.first; v <= t.last; v++ {
		ch <- v
	}
	if atomic.AddInt32(sending, -1) == 0 {
		close(ch)
	}
	t.finish()
}

func consume(t *task, ch chan uint64) {
	t.begin()
	var count, sum uint64
	for v := range ch {
		count++
		sum += v
	}
	t.count, t.sum = count, sum
	t.finish()
}

func ping(t *task, there, back chan uint64) {
	t.begin()
	var count, sum uint64
	for v := t.first; v <= t.last; v++ {
		there <- v
		got, ok := <-back
		if !ok {
			break
		}
		count++
		sum += got
	}
	t.finish()
	t.count, t.sum = count, sum
	close(there)
}

func echo(t *task, there, back chan uint64) {
	t.begin()
	t.finish() // the other side keeps the time
	for v := range there {
		back <- v
	}
}

func idle(t *task, ch chan uint64, ms uint64) int64 {
	ready.Add(1)
	go consume(t, ch)
	ready.Wait()
	close(start)
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	time.Sleep(time.Duration(ms) * time.Millisecond)
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	return after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
}

// Runs the tasks' bodies and returns the time from the first start to the last end, checked as in bench/worker.h.
func measure(tasks []task, bodies []func(), count uint64) int64 {
	var done sync.WaitGroup
	ready.Add(len(bodies))
	done.Add(len(bodies))
	for _, body := range bodies {
		body := body
		go func() {
			body()
			done.Done()
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
	began, finished := tasks[0].began, int64(0)
	var received, sum uint64
	for i := range tasks {
		t := &tasks[i]
		if t.began < began {
			began = t.began
		}
		if t.finished > finished {
			finished = t.finished
		}
		received += t.count
		sum += t.sum
	}
	half, other := count, count+1
	if count%2 == 0 {
		half /= 2
	} else {
		other /= 2
	}
	if received != count || sum != half*other {
		fmt.Fprintf(os.Stderr, "lost or doubled: %d values sent, %d received\n", count, received)
		os.Exit(1)
	}
	return finished - began
}

func flow(capacity, senders, receivers int, count uint64, cpus []int) int64 {
	ch := make(chan uint64, capacity)
	sending := int32(senders)
	share := count / uint64(senders)
	tasks := make([]task, receivers+senders)
	var bodies []func()
	for i := range tasks {
		t := &tasks[i]
		if i < receivers {
			t.cpu = cpus[1]
			bodies = append(bodies, func() { consume(t, ch) })
			continue
		}
		t.cpu = cpus[0]
		t.first = share*uint64(i-receivers) + 1
		t.last = t.first + share - 1
		if i == len(tasks)-1 {
			t.last = count
		}
		bodies = append(bodies, func() { produce(t, ch, &sending) })
	}
	return measure(tasks, bodies, count)
}

func roundTrips(capacity int, count uint64, cpus []int) int64 {
	there, back := make(chan uint64, capacity), make(chan uint64, capacity)
	tasks := []task{{cpu: cpus[0], first: 1, last: count}, {cpu: cpus[1]}}
	return measure(tasks, []func(){
		func() { ping(&tasks[0], there, back) },
		func() { echo(&tasks[1], there, back) },
	}, count)
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(runtime.Version())
		return
	}
	if len(os.Args) != 8 {
		fmt.Fprintln(os.Stderr, "usage: chan_go chan|chan_meet flow|ping|idle|one|all|try SENDERS RECEIVERS COUNT CPU CPU")
		os.Exit(2)
	}
	var n [5]int
	for i := range n {
		n[i], _ = strconv.Atoi(os.Args[3+i])
	}
	count, cpus, size := uint64(n[2]), n[3:5], capacity
	if os.Args[1] == "chan_meet" {
		size = 0
	}
	switch os.Args[2] {
	case "idle":
		fmt.Println(idle(&task{cpu: cpus[1]}, make(chan uint64, capacity), count))
	case "ping":
		fmt.Println(roundTrips(size, count, cpus))
	case "one", "all":
		fmt.Println(selects(n[0], os.Args[2] == "all", count, cpus))
	case "try":
		fmt.Println(trySelects(n[0], count, cpus))
	default:
		fmt.Println(flow(size, n[0], n[1], count, cpus))
	}
}

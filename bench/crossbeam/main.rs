// bench/crossbeam/main.rs: the same runs as bench/shapes.h and bench/worker_select.c, on crossbeam-channel. Called as the other workers:
//
//     chan_crossbeam chan|chan_meet flow|ping|idle|one|all|try SENDERS RECEIVERS COUNT CPU CPU
//
// Prints the nanoseconds that it took (idle: that it used of the CPU). A select is built once and used for the whole run, which is the
// fastest way that the crate offers for a number of channels known only at run time.
use crossbeam_channel::{bounded, Receiver, Select, Sender};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

const CAPACITY: usize = 1024;

extern "C" {
    fn sched_setaffinity(pid: i32, size: usize, mask: *const u64) -> i32;
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}
const PROCESS_CPU_TIME: i32 = 2;

fn pin(cpu: i32) {
    if cpu < 0 {
        return;
    }
    let mut mask = [0u64; 128];
    mask[cpu as usize / 64] |= 1 << (cpu % 64);
    if unsafe { sched_setaffinity(0, std::mem::size_of_val(&mask), mask.as_ptr()) } != 0 {
        eprintln!("cannot run on CPU {}", cpu);
    }
}

fn cpu_time() -> i64 {
    let mut t = [0i64; 2];
    unsafe { clock_gettime(PROCESS_CPU_TIME, &mut t) };
    t[0] * 1_000_000_000 + t[1]
}

struct Part {
    began: Instant,
    finished: Instant,
    count: u64,
    sum: u64,
}

// One thread: pinned, started together with the others, timed. The body returns what it received.
fn part(cpu: i32, start: &Barrier, body: impl FnOnce() -> (u64, u64)) -> Part {
    pin(cpu);
    start.wait();
    let began = Instant::now();
    let (count, sum) = body();
    Part { began, finished: Instant::now(), count, sum }
}

// From the first start to the last end, checked as in bench/worker.h.
fn collect(parts: Vec<Part>, count: u64) -> i64 {
    let began = parts.iter().map(|p| p.began).min().unwrap();
    let finished = parts.iter().map(|p| p.finished).max().unwrap();
    let received: u64 = parts.iter().map(|p| p.count).sum();
    let sum = parts.iter().fold(0u64, |s, p| s.wrapping_add(p.sum));
    let want = if count % 2 == 0 { (count / 2).wrapping_mul(count + 1) } else { count.wrapping_mul((count + 1) / 2) };
    if received != count || sum != want {
        eprintln!("lost or doubled: {} values sent, {} received", count, received);
        std::process::exit(1);
    }
    (finished - began).as_nanos() as i64
}

fn run(bodies: Vec<(i32, Box<dyn FnOnce() -> (u64, u64) + Send>)>, count: u64) -> i64 {
    let start = Arc::new(Barrier::new(bodies.len()));
    let threads: Vec<_> = bodies
        .into_iter()
        .map(|(cpu, body)| {
            let start = start.clone();
            std::thread::spawn(move || part(cpu, &start, body))
        })
        .collect();
    collect(threads.into_iter().map(|t| t.join().unwrap()).collect(), count)
}

fn flow(capacity: usize, senders: u64, receivers: u64, count: u64, cpus: [i32; 2]) -> i64 {
    let (s, r) = bounded::<u64>(capacity);
    let mut bodies: Vec<(i32, Box<dyn FnOnce() -> (u64, u64) + Send>)> = Vec::new();
    for _ in 0..receivers {
        let r = r.clone();
        bodies.push((cpus[1], Box::new(move || {
            let (mut count, mut sum) = (0u64, 0u64);
            while let Ok(v) = r.recv() {
                count += 1;
                sum = sum.wrapping_add(v);
            }
            (count, sum)
        })));
    }
    let share = count / senders;
    for i in 0..senders {
        let s = s.clone();
        let first = share * i + 1;
        let last = if i + 1 == senders { count } else { first + share - 1 };
        bodies.push((cpus[0], Box::new(move || {
            for v in first..=last {
                s.send(v).unwrap();
            }
            (0, 0)
        })));
    }
    drop(s);
    drop(r);
    run(bodies, count)
}

fn ping(capacity: usize, count: u64, cpus: [i32; 2]) -> i64 {
    let (there, at_there) = bounded::<u64>(capacity);
    let (back, at_back) = bounded::<u64>(capacity);
    run(
        vec![
            (cpus[0], Box::new(move || {
                let mut sum = 0u64;
                for v in 1..=count {
                    there.send(v).unwrap();
                    sum = sum.wrapping_add(at_back.recv().unwrap());
                }
                (count, sum)
            })),
            (cpus[1], Box::new(move || {
                while let Ok(v) = at_there.recv() {
                    back.send(v).unwrap();
                }
                (0, 0)
            })),
        ],
        count,
    )
}

fn idle(ms: u64, cpus: [i32; 2]) -> i64 {
    let (s, r) = bounded::<u64>(CAPACITY);
    let start = Arc::new(Barrier::new(2));
    let other = start.clone();
    std::thread::spawn(move || {
        part(cpus[1], &other, || {
            let _ = r.recv();
            (0, 0)
        })
    });
    start.wait();
    let before = cpu_time();
    std::thread::sleep(Duration::from_millis(ms));
    let used = cpu_time() - before;
    drop(s);
    used
}

fn select(n: usize, all: bool, count: u64, cpus: [i32; 2]) -> i64 {
    let (senders, receivers): (Vec<Sender<u64>>, Vec<Receiver<u64>>) = (0..n).map(|_| bounded::<u64>(CAPACITY)).unzip();
    let finished = Arc::new(AtomicU32::new(0));
    let done = finished.clone();
    run(
        vec![
            (cpus[0], Box::new(move || {
                for v in 1..=count {
                    senders[if all { v as usize % n } else { n / 2 }].send(v).unwrap();
                }
                // Closed channels would be ready: the senders stay until all has been received.
                while done.load(Ordering::Acquire) == 0 {
                    std::thread::yield_now();
                }
                (0, 0)
            })),
            (cpus[1], Box::new(move || {
                let mut sum = 0u64;
                let mut s = Select::new();
                for r in &receivers {
                    s.recv(r);
                }
                for _ in 0..count {
                    let op = s.select();
                    let i = op.index();
                    sum = sum.wrapping_add(op.recv(&receivers[i]).unwrap());
                }
                finished.store(1, Ordering::Release);
                (count, sum)
            })),
        ],
        count,
    )
}

fn try_select(n: usize, count: u64, cpus: [i32; 2]) -> i64 {
    let (_senders, receivers): (Vec<Sender<u64>>, Vec<Receiver<u64>>) = (0..n).map(|_| bounded::<u64>(CAPACITY)).unzip();
    let mut s = Select::new();
    for r in &receivers {
        s.recv(r);
    }
    pin(cpus[0]);
    let began = Instant::now();
    let mut found = 0u64;
    for _ in 0..count {
        if s.try_select().is_ok() {
            found += 1;
        }
    }
    let elapsed = began.elapsed().as_nanos() as i64;
    if found != 0 {
        std::process::exit(1);
    }
    elapsed
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.len() == 2 && args[1] == "version" {
        println!("crossbeam-channel");
        return;
    }
    if args.len() != 8 {
        eprintln!("usage: chan_crossbeam chan|chan_meet flow|ping|idle|one|all|try SENDERS RECEIVERS COUNT CPU CPU");
        std::process::exit(2);
    }
    let n: Vec<i64> = args[3..].iter().map(|a| a.parse().unwrap_or(0)).collect();
    let (count, cpus) = (n[2] as u64, [n[3] as i32, n[4] as i32]);
    let capacity = if args[1] == "chan_meet" { 0 } else { CAPACITY };
    println!("{}", match args[2].as_str() {
        "idle" => idle(count, cpus),
        "ping" => ping(capacity, count, cpus),
        "one" => select(n[0] as usize, false, count, cpus),
        "all" => select(n[0] as usize, true, count, cpus),
        "try" => try_select(n[0] as usize, count, cpus),
        _ => flow(capacity, n[0] as u64, n[1] as u64, count, cpus),
    });
}

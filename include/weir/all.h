/* weir/all.h: the map. Every module, in dependency order: a module includes only what stands above it.
 * include/weir.h is made from this list by `make single`. No include guard here: the modules have theirs, and a unit may include
 * this once plainly and again with WEIR_IMPLEMENTATION. */
#include "core/config.h"       /* what a program may define; the macros that everything is written in */
#include "core/system.h"       /* the C library's symbols that -std=c11 hides */
#include "core/error.h"        /* error codes and what they mean */
#include "core/atomic.h"       /* atomic operations with the order in their name */
#include "core/cpu.h"          /* pause, yield, pinning */
#include "core/memory.h"       /* allocation hooks */
#include "core/time.h"         /* the monotonic clock */
#include "core/random.h"       /* fair choices */
#include "core/hash.h"         /* a number for some bytes */
#include "core/futex.h"        /* sleep until a word changes */
#include "core/fence.h"        /* the fence that only the sleeping side pays for */
#include "core/thread.h"       /* starting and joining threads */
#include "park/lock.h"         /* a small futex lock for slow paths */
#include "park/roll.h"         /* the threads that the library has started */
#include "park/backoff.h"      /* spin, yield, park: the four strategies */
#include "park/parker.h"       /* how one thread sleeps, and is claimed exactly once */
#include "park/waitq.h"        /* who sleeps on one side of a channel */
#include "ring/choice.h"       /* the four kinds of channel, and which ring each stands on */
#include "ring/ck_include.h"   /* <ck_ring.h>, in C and C++ */
#include "ring/base.h"         /* what all rings share; how one is closed */
#include "ring/spsc.h"         /* one producer, one consumer: cached indices */
#include "ring/slots.h"        /* many: a stamp per slot */
#include "ring/ck.h"           /* Concurrency Kit's ck_ring */
#include "ring/ring.h"         /* one interface to the three */
#include "ctx/hook.h"          /* functions that run when a context ends */
#include "ctx/ctx.h"           /* cancellation, deadlines and values down a tree */
#include "ctx/wait.h"          /* one wait, bounded by a context and a deadline */
#include "ctx/sleep.h"         /* sleeping within a context */
#include "chan/channel.h"      /* a ring and two queues */
#include "chan/handle.h"       /* typed handles */
#include "chan/lane.h"         /* capacity 0, both awake: one cache line */
#include "chan/rendezvous.h"   /* capacity 0: from hand to hand */
#include "chan/make.h"         /* make, close, free, len, cap */
#include "chan/stats.h"        /* a channel's numbers */
#include "chan/promise.h"      /* a value that arrives once and stays */
#include "chan/timer.h"        /* channels on which the time arrives */
#include "chan/op.h"           /* one operation on a channel of any flavor */
#include "chan/wait.h"         /* what an operation does when the ring is not ready */
#include "chan/send_recv.h"    /* send, recv, try, until, send_latest */
#include "chan/inplace.h"      /* reserve and commit, peek and release */
#include "chan/batch.h"        /* send_n, recv_n */
#include "chan/case.h"         /* one case of a select */
#include "chan/select.h"       /* whichever of several can go on first */
#include "sync/line.h"         /* who waits, in order, for what is given under a lock */
#include "sync/once.h"         /* done once, whoever comes first */
#include "sync/waitgroup.h"    /* until so many are done */
#include "sync/sem.h"          /* so many units, first come first served */
#include "obs/hist.h"          /* a latency histogram */
#include "obs/text.h"          /* text for formats that others read */
#include "obs/prometheus.h"    /* metrics, as Prometheus scrapes them */
#include "obs/tally.h"         /* the numbers of channels for Prometheus, and the way for others */
#include "obs/correlation.h"   /* a number that contexts carry along */
#include "obs/trace.h"         /* what ran when, as Chrome and Perfetto draw it */
#include "obs/threads.h"       /* prints that roll */
#include "task/runner.h"       /* where tasks run */
#include "task/group_queue.h"  /* tasks of a group that nobody has taken yet */
#include "task/group.h"        /* tasks that end together: the first error, joined */
#include "task/future.h"       /* a value that is not there yet */
#include "task/single.h"       /* who asks for the same at the same time shares one run */
#include "task/objpool.h"      /* objects to be used again */
#include "task/job.h"          /* what is asked for a job, what is told of it, how it gives up */
#include "task/pool_queue.h"   /* jobs that wait, by priority */
#include "task/pool_job.h"     /* what becomes of a job */
#include "task/pool_worker.h"  /* who runs them */
#include "task/pool.h"         /* a pool of workers */
#include "task/pool_metrics.h" /* its numbers for Prometheus */
#include "task/pool_map.h"     /* an array in parallel */
#include "guard/clock.h"       /* the clock by which guards decide; a test's own */
#include "guard/rate.h"        /* events a second as whole numbers */
#include "guard/bucket.h"      /* a token bucket in one word */
#include "guard/limiter.h"     /* so many events a second, with bursts */
#include "guard/leaky.h"       /* events evenly spaced */
#include "guard/limiter_map.h" /* a limiter for each key */
#include "guard/rolling.h"     /* how many of the latest calls have failed */
#include "guard/circuit.h"     /* what a circuit breaker is told, and what it tells */
#include "guard/breaker.h"     /* refuses calls of what fails, for a while */
#include "guard/window.h"      /* so many events in a window of time: fixed, sliding */
#include "guard/adaptive.h"    /* a limit of concurrency that follows what is observed */
#include "guard/budget.h"      /* retries stay under a share of the requests */
#include "guard/retry.h"       /* called again, when it fails in a way that may pass */
#include "guard/policy.h"      /* guards around a call, in the order listed */
#include "flow/dead_letter.h"  /* where a stage puts the items that have failed for good */
#include "flow/option.h"       /* what a stage can be told: threads, order, guards, errors */
#include "flow/desk.h"         /* where a worker of a stage works: what is counted and guarded */
#include "flow/loop.h"         /* generate, map, sink, fan-out, fan-in as inline loops */
#include "flow/room.h"         /* the desks of a stage, the rooms of a pipeline */
#include "flow/pipeline.h"     /* the threads of a pipeline, and how it ends */
#include "flow/stage.h"        /* what every stage is made of; order among several workers */
#include "flow/stages.h"       /* the stages of a pipeline, one call each */
#include "flow/filter.h"       /* filter and flat-map: fewer values, or more */
#include "flow/fuse.h"         /* several maps in one thread */
#include "flow/throttle.h"     /* a limiter as a stage */
#include "flow/tee.h"          /* every value to each output */
#include "flow/partition.h"    /* by key: same key, same worker */
#include "flow/merge.h"        /* many inputs, each as often; or by order of their values */
#include "flow/batch.h"        /* so many values at a time, or what has come in time */
#include "flow/window.h"       /* a result for each span of values, or of time */
#include "flow/progress.h"     /* how far a pipeline is, and which stage holds it up */
#include "flow/bar.h"          /* that as a line, on a terminal */
#include "flow/metrics.h"      /* that for Prometheus */
#include "flow/generator.h"    /* a lazy sequence */
#include "run/signal.h"        /* signals, counted in a word */
#include "run/shutdown.h"      /* how a program stops: signals, phases, a report */

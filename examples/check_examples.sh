#!/bin/sh
# examples/check_examples.sh: each small example builds without a warning and prints what it should.
. examples/check.sh

# prints NAME <expected: the output, and the end with status 0. Twenty times: the schedule must not show.
prints()
{
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        run >"$BUILD/got" || { echo "run $i: status $?"; return 1; }
        diff "$BUILD/expected" "$BUILD/got" || { echo "run $i"; return 1; }
    done
}
example()
{
    cat >"$BUILD/expected"
    example=$1 program=$BUILD/$1
    expect "$1 builds without a warning" compile "$program" -DWEIR_STATIC= -Werror # quicker; check_market_data.sh builds as a reader does
    expect "$1 prints what it should, every time" prints "$1"
}

example rendezvous <<'END'
before the start: would have to wait
second runner has the red baton
second runner has the green baton
second runner has the blue baton
after the close: closed
END
example timeout <<'END'
nothing to receive                 deadline passed
no room for a second value         deadline passed
a value, and a deadline long past  success
the value that had been sent       1, and 0 left
a step of a request                deadline passed
the request itself                 deadline passed
a cancelled request                cancelled
its cause                          77
END
example select <<'END'
small 500500, large 1000499500, at least three ticks: yes, quit: cancelled
END
example prime_sieve <<'END'
2 3 5 7 11 13 17 19 23 29
31 37 41 43 47 53 59 61 67 71
73 79 83 89 97 101 103 107 109 113
127 131 137 139 149 151 157 163 167 173
179 181 191 193 197 199 211 223 227 229
END
example fibonacci <<'END'
0
1
1
2
3
5
8
13
21
34
55
89
144
233
377
610
987
1597
the generator was cancelled
END
example once <<'END'
1 4 9 16 25 36 49 64 after 2 attempts
END
example waitgroup <<'END'
499999500000
one done too many: invalid argument
END
example semaphore <<'END'
never more than 100: yes
free again: 100
more than there is: invalid argument
no room in time: deadline passed
after growing: success
END
example errgroup <<'END'
sum 611887500
threads left: 0
part 17 failed first: 1
threads left: 0
END
example future <<'END'
all: success
55
500500
5000050000
not yet: case 1
set: success
set again: invalid argument
now: case 0, 42
any: number 1
END
example singleflight <<'END'
8 askers, 8 answers alike, fewer lookups than askers: yes
END
example objpool <<'END'
used 1000 times, forgotten: yes, ever in use at once: 1
one too many: would have to wait
END
example pool <<'END'
275 words, 25 pages could not be read, 1 job was late
sum of squares 332833500
drained: success
one more: closed
failed 25, expired 1, left in the queue 0, threads left 0
END
example circuit_breaker <<'END'
the server gives answer 1
the server gives answer 2
the server gives answer 3
the server hangs up
the server hangs up
the server hangs up
    the breaker was closed and is open
    the breaker was open and is half-open
the server hangs up
    the breaker was half-open and is open, for twice as long
    the breaker was open and is half-open
the server gives answer 8
the server gives answer 9
    the breaker was half-open and is closed
the server gives answer 10
the server gives answer 11
the server gives answer 12
asked 12 times, and refused to ask in between: yes
the server has ended: success
END
example generator <<'END'
2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 and no more: success
threads left: 0
END
example pipeline <<'END'
minute  0: 53 orders, 18870 | minute  1: 51 orders, 17714 | minute  2: 52 orders, 17339 | minute  3: 53 orders, 18683
minute  4: 52 orders, 17039 | minute  5: 52 orders, 17593 | minute  6: 52 orders, 19509 | minute  7: 53 orders, 15981
minute  8: 50 orders, 17816 | minute  9: 52 orders, 17037 | minute 10: 52 orders, 18568 | minute 11: 53 orders, 18428
minute 12: 51 orders, 16186 | minute 13: 52 orders, 19195 | minute 14: 53 orders, 16915 | minute 15: 52 orders, 17649
minute 16: 33 orders, 12425
success
late: 0, threads left: 0
END
example threads <<'END'
threads: 1
joined: success
threads: 0
END
example shutdown <<'END'
log: all that was sent has been answered
stopped by signal 15: deadline passed
clients   success
requests  success
cache     deadline passed
log       success
threads left: 0
END
example metrics <<'END'
# HELP requests_total Requests answered.
# TYPE requests_total counter
requests_total{path="/look\"up\""} 6
# HELP latency_seconds From request to answer.
# TYPE latency_seconds histogram
latency_seconds_bucket{path="/look\"up\"",le="0.001"} 1
latency_seconds_bucket{path="/look\"up\"",le="0.1"} 6
latency_seconds_bucket{path="/look\"up\"",le="+Inf"} 6
latency_seconds_sum{path="/look\"up\""} 0.090992384
latency_seconds_count{path="/look\"up\""} 6
# TYPE latency_quantiles_seconds summary
latency_quantiles_seconds{quantile="0.5"} 0.008998912
latency_quantiles_seconds{quantile="1"} 0.036
latency_quantiles_seconds_sum 0.090992384
latency_quantiles_seconds_count 6
success, events traced: 18, dropped: 0
END
example adaptive <<'END'
   time limit  --| capacity, o limit
   0 ms   5  ----o----------------------------------|
  20 ms   5  ----o----------------------------------|
  40 ms  20  -------------------o-------------------|
  60 ms  23  ----------------------o----------------|
  80 ms  27  --------------------------o------------|
 100 ms  32  -------------------------------o-------|
 120 ms  37  ------------------------------------o--|
 140 ms  43  ---------------------------------------|  o
 160 ms  43  ---------------------------------------|  o
 180 ms  41  ---------------------------------------|o
 200 ms  41  ---------------------------------------|o
 220 ms  41  ---------------------------------------|o
 240 ms  42  ---------------------------------------| o
 260 ms  42  ---------------------------------------| o
 280 ms  42  ---------------------------------------| o
 300 ms  42  -------------------|                     o
 320 ms  42  -------------------|                     o
 340 ms  28  -------------------|       o
 360 ms  22  -------------------| o
 380 ms  21  -------------------|o
 400 ms  22  -------------------| o
 420 ms  22  -------------------| o
 440 ms  22  -------------------| o
 460 ms  22  -------------------| o
 480 ms  21  -------------------|o
 500 ms  22  -------------------| o
 520 ms  22  -------------------| o
 540 ms  22  -------------------| o
 560 ms  22  -------------------| o
 580 ms  22  -------------------| o
 600 ms  22  ---------------------o-----------------|
 620 ms  26  -------------------------o-------------|
 640 ms  30  -----------------------------o---------|
 660 ms  35  ----------------------------------o----|
 680 ms  41  ---------------------------------------|o
 700 ms  45  ---------------------------------------|    o
 720 ms  44  ---------------------------------------|   o
 740 ms  44  ---------------------------------------|   o
 760 ms  44  ---------------------------------------|   o
 780 ms  42  ---------------------------------------| o
 800 ms  44  ---------------------------------------|   o
 820 ms  44  ---------------------------------------|   o
 840 ms  44  ---------------------------------------|   o
 860 ms  44  ---------------------------------------|   o
 880 ms  42  ---------------------------------------| o
ten round trips after a change, and from then on, within 20 %: yes
END
example rate_limited_client <<'END'
/free, without a limiter: 10 answered, 50 refused (success)
/paid, four threads under one limiter: 60 answered, 0 refused (success)
it took as long as 500 a second take: yes
the server has ended: success
END
example progress <<'END'
line 500, "499 euro": no number, by stage "look up" in 1 call
line 1000, "999 euro": no number, by stage "look up" in 1 call
line 1500, "1499 euro": no number, by stage "look up" in 1 call
line 2000, "1999 euro": no number, by stage "look up" in 1 call
stage       in   out  failed
read      2000  2000       0
look up   2000  1996       4
sum       1996  1996       0
report       4     4       0
done: 2000 of 2000
sum 1994004: success
END
finish

# tests/model/counts.awk: from the programs' reports to lines that can be compared: program, scenario, how much was searched.
#   ok - chan_pipe (234276 executions, 420859 states, 1.0 s)   =>   channels-chan chan_pipe 234276 executions
#   ok - progress_chan_send (1 of 5 steps, 0.0 s)              =>   progress progress_chan_send 1 of 5 steps
FNR == 1 {
    program = FILENAME
    sub(/.*\//, "", program)
    sub(/\.out$/, "", program)
}
/^(not )?ok - / && match($0, /\([0-9].*(executions|steps)/) {
    sub(/^(not )?ok - /, "")
    print program, $1, substr($0, index($0, "(") + 1, match($0, /(executions|steps)/) + RLENGTH - index($0, "(") - 1)
}

/* tests/spin/select.pml: a select over two buffered channels (chan/select.h) beside a plain receiver, as a model for SPIN: one parker in two
 * queues, and the duty to pass on a wake-up that was spent on a case which was not done. One value is sent to each channel; a select over a and b
 * takes one of them, a receive from a takes the other if it is a's. At the end, when nobody can go on, nobody may sleep while there is
 * a value that it waits for.
 *
 *   -DNO_PASS_ON   the select keeps a wake-up for the case that it did not do: the plain receiver sleeps on
 *   -DNO_RECHECK   the select sleeps without a second look
 */
#define WAITING 0
#define TICKET 2 /* + channel */
#define SELECT 0
#define PLAIN 1

byte values[2];
byte attention[2];
bool lock[2];
bool linked_select[2]; /* the select in the queue of each channel */
bool linked_plain;     /* the plain receiver in that of channel 0 */
bool select_first;     /* who came first to the queue of channel 0 */
byte parker[2];
bool asleep[2];

inline take_lock(c) { atomic { !lock[c] -> lock[c] = true } }
inline free_lock(c) { lock[c] = false }

/* Claims the first of the queue of c whose parker nobody has claimed; unlinks those before it. */
inline wake_one(c)
{
    take_lock(c);
    if
    :: c == 0 && linked_plain && (!linked_select[0] || !select_first) ->
        linked_plain = false; attention[0]--;
        parker[PLAIN] = TICKET
    :: linked_select[c] && (c == 1 || !linked_plain || select_first) ->
        linked_select[c] = false; attention[c]--;
        atomic {
            if
            :: parker[SELECT] == WAITING -> parker[SELECT] = TICKET + c; claimed = true
            :: else -> claimed = false
            fi
        };
        if /* claimed elsewhere: the next one */
        :: !claimed && c == 0 && linked_plain -> linked_plain = false; attention[0]--; parker[PLAIN] = TICKET
        :: else
        fi
    :: else
    fi;
    free_lock(c)
}

proctype sender(byte c)
{
    bool claimed;
    values[c]++;
    if
    :: attention[c] > 0 -> wake_one(c)
    :: else
    fi
}

proctype plain()
{
    bool done = false, owes = false, claimed;
    do
    :: done -> break
    :: else ->
        atomic { if :: values[0] > 0 -> values[0]--; done = true :: else fi };
        if
        :: done -> skip
        :: else ->
            parker[PLAIN] = WAITING;
            take_lock(0);
            linked_plain = true; attention[0]++;
            if :: !linked_select[0] -> select_first = false :: else fi;
            free_lock(0);
            if
            :: values[0] > 0 -> skip
            :: else -> owes = false; asleep[PLAIN] = true; end_asleep: parker[PLAIN] == TICKET; asleep[PLAIN] = false
            fi;
            take_lock(0);
            if :: linked_plain -> linked_plain = false; attention[0]-- :: else fi;
            free_lock(0);
            if :: parker[PLAIN] == TICKET -> owes = true :: else fi
        fi
    od;
    if :: owes && attention[0] > 0 && values[0] > 0 -> wake_one(0) :: else fi
}

proctype selects()
{
    bool done = false, claimed;
    byte owed = 2, chosen = 2;
    do
    :: done -> break
    :: else ->
        /* poll, in either order */
        if
        :: atomic { values[0] > 0 -> values[0]--; done = true; chosen = 0 }
        :: atomic { values[1] > 0 -> values[1]--; done = true; chosen = 1 }
        :: atomic { values[0] == 0 -> skip };
           atomic { if :: values[1] > 0 -> values[1]--; done = true; chosen = 1 :: else fi }
        fi;
        if
        :: done -> skip
        :: else ->
            parker[SELECT] = WAITING;
            take_lock(0);
            linked_select[0] = true; attention[0]++;
            if :: !linked_plain -> select_first = true :: else fi;
            free_lock(0);
            take_lock(1); linked_select[1] = true; attention[1]++; free_lock(1);
#ifndef NO_RECHECK
            if
            :: values[0] > 0 || values[1] > 0 -> atomic { if :: parker[SELECT] == WAITING -> parker[SELECT] = 1 :: else fi }
            :: else ->
#endif
                owed = 2; asleep[SELECT] = true; end_asleep: parker[SELECT] >= TICKET; asleep[SELECT] = false
#ifndef NO_RECHECK
            fi
#endif
            ;
            take_lock(0); if :: linked_select[0] -> linked_select[0] = false; attention[0]-- :: else fi; free_lock(0);
            take_lock(1); if :: linked_select[1] -> linked_select[1] = false; attention[1]-- :: else fi; free_lock(1);
            if :: parker[SELECT] >= TICKET -> owed = parker[SELECT] - TICKET :: else fi
        fi
    od;
#ifndef NO_PASS_ON
    if :: owed < 2 && attention[owed] > 0 && values[owed] > 0 -> wake_one(owed) :: else fi
#endif
}

init
{
    atomic { run sender(0); run sender(1); run plain(); run selects() };
    timeout -> assert(!(asleep[PLAIN] && values[0] > 0) && !(asleep[SELECT] && values[0] + values[1] > 0))
}

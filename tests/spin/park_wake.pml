/* tests/spin/park_wake.pml: how a receiver of a buffered channel sleeps and is woken (chan/wait.h, park/waitq.h, park/parker.h), as a model for SPIN:
 * two senders with one value each, two receivers, a ring of two places with claim and publish apart. Valid ends are those in which
 * everybody has ended; a receiver that sleeps on is an invalid one, which SPIN reports.
 *
 * Fences are left out: SPIN knows one order of all steps, which is what the two fences (A) and (B) give. What they are for is the model
 * checker's matter (tests/model); this one looks at the protocol.
 *
 *   -DNO_RECHECK   the receiver sleeps without a second look after it has announced itself: a lost wake-up
 *   -DNO_PASS_ON   a receiver that was woken and leaves does not look whether the next one is needed: another
 */
#define RECEIVERS 2
#define NOBODY 255
#define WAITING 0
#define SLEEPING 1
#define TICKET 2

bool published[2];
byte tail, head;
byte attention;
bool lock;
byte queue[RECEIVERS]; /* who waits, the longest first */
byte queued;
byte parker[RECEIVERS];

inline take_lock() { atomic { !lock -> lock = true } }
inline free_lock() { lock = false }

/* Unlinks the first and claims its parker; a sleeper runs on by itself, because it waits for its ticket. */
inline wake_one()
{
    take_lock();
    if
    :: queued > 0 ->
        parker[queue[0]] = TICKET;
        queue[0] = queue[1];
        queue[1] = NOBODY;
        queued--;
        attention--
    :: else
    fi;
    free_lock()
}

proctype sender()
{
    byte mine;
    atomic { mine = tail; tail++ } /* claim */
    published[mine] = true;
    if
    :: attention > 0 -> wake_one()
    :: else
    fi
}

proctype receiver(byte me)
{
    bool done = false, owes = false;
    do
    :: done -> break
    :: else ->
        /* try: claim the head if it is published */
        atomic {
            if
            :: head < 2 && published[head] -> head++; done = true
            :: else
            fi
        }
        if
        :: done -> skip
        :: else ->
            parker[me] = WAITING;
            take_lock();
            queue[queued] = me;
            queued++;
            attention++;
            free_lock();
#ifndef NO_RECHECK
            if
            :: head < 2 && published[head] -> skip
            :: else ->
#endif
                owes = false;
                atomic { if :: parker[me] == WAITING -> parker[me] = SLEEPING :: else fi };
                parker[me] == TICKET; /* the futex */
#ifndef NO_RECHECK
            fi;
#endif
            /* leave */
            take_lock();
            if
            :: queue[0] == me && queued > 0 -> queue[0] = queue[1]; queue[1] = NOBODY; queued--; attention--
            :: queue[1] == me && queued > 1 -> queue[1] = NOBODY; queued--; attention--
            :: else
            fi;
            free_lock();
            if :: parker[me] == TICKET -> owes = true :: else fi
        fi
    od;
#ifndef NO_PASS_ON
    if
    :: owes && attention > 0 && head < 2 && published[head] -> wake_one()
    :: else
    fi
#endif
}

init
{
    queue[0] = NOBODY;
    queue[1] = NOBODY;
    atomic { run sender(); run sender(); run receiver(0); run receiver(1) }
}

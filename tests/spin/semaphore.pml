/* tests/spin/semaphore.pml: a weighted semaphore with a line (sync/sem.h), as a model for SPIN: two units; one process asks for both and may give up,
 * two ask for one each. All release what they got, the first of them only once the other has been served: so nobody but who gives up can help that one. Valid ends are those in which everybody has ended. Checked besides: never more units out than
 * there are; who takes units without waiting overtakes nobody; who is served from the line is its first.
 *
 *   -DNO_LOOK   one that gives up at the head does not let those behind it have a look: they sleep on
 *   -DBARGE     the fast path takes what is free, whoever waits: the large request is overtaken
 */
#define SIZE 2
#define USERS 3
#define NOBODY 255

byte free_units = SIZE, out;
bool waited, lock;
byte line[USERS], waiting;      /* who waits, the longest first */
byte wants[USERS];
bool served;                    /* the last of the three */
bool granted[USERS], gave_up[USERS]; /* the parker: claimed by the one or the other */

inline take_lock() { atomic { !lock -> lock = true } }
inline free_lock() { lock = false }

inline unlink_first()
{
    line[0] = line[1];
    line[1] = line[2];
    line[2] = NOBODY;
    waiting--
}

/* Locked, the bit set. */
inline serve()
{
    do
    :: waiting > 0 && wants[line[0]] <= free_units ->
        if
        :: atomic { !gave_up[line[0]] -> granted[line[0]] = true; free_units = free_units - wants[line[0]] }
        :: else
        fi;
        unlink_first()
    :: else -> break
    od;
    waited = (waiting > 0)
}

inline leave_line(me)
{
    if
    :: waiting > 0 && line[0] == me -> unlink_first()
    :: waiting > 1 && line[1] == me -> line[1] = line[2]; line[2] = NOBODY; waiting--
    :: waiting > 2 && line[2] == me -> line[2] = NOBODY; waiting--
    :: else
    fi
}

proctype user(byte me; byte n; bool patient)
{
    bool have = false;
    wants[me] = n;
    if
#ifdef BARGE
    :: atomic { free_units >= n -> assert(waiting == 0); free_units = free_units - n; have = true }
#else
    :: atomic { !waited && free_units >= n -> assert(waiting == 0); free_units = free_units - n; have = true }
#endif
    :: else ->
        take_lock();
        waited = true;
        if
        :: waiting == 0 && free_units >= n -> free_units = free_units - n; have = true; waited = false; free_lock()
        :: else ->
            line[waiting] = me;
            waiting++;
            free_lock();
            if
            :: granted[me] -> have = true
            :: atomic { !patient && !granted[me] -> gave_up[me] = true }
            fi;
            take_lock();
            if
            :: gave_up[me] ->
                leave_line(me);
                waited = true;
#ifndef NO_LOOK
                serve()
#else
                waited = (waiting > 0)
#endif
            :: else
            fi;
            free_lock()
        fi
    fi;
    if
    :: have ->
        out = out + n;
        assert(out <= SIZE);
        if
        :: me == 0 -> served
        :: me == 2 -> served = true
        :: else
        fi;
        out = out - n;
        if
        :: atomic { !waited -> free_units = free_units + n }
        :: else ->
            take_lock();
            waited = true;
            free_units = free_units + n;
            serve();
            free_lock()
        fi
    :: else
    fi
}

init
{
    atomic {
        line[0] = NOBODY; line[1] = NOBODY; line[2] = NOBODY;
        run user(0, 1, true);
        run user(1, 2, false);
        run user(2, 1, true)
    }
}

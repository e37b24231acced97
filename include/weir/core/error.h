/* weir/core/error.h: how calls report failure.
 *
 * A call that can fail returns 0 or a positive errno value, as the pthread calls do; errno itself is left alone. What each value
 * means, everywhere in the library:
 *
 *   EPIPE       the channel is closed (for a receive: and drained)
 *   EAGAIN      a try-operation would have to wait
 *   EBUSY       all places are taken (a half-open breaker); somebody else has it, or it has begun (a shutdown)
 *   EIO         a file took not all that was written
 *   ETIMEDOUT   a deadline has passed
 *   ECANCELED   the context was cancelled
 *   ENOMEM      no memory; nothing was changed and nothing leaked
 *   EINVAL      misuse that can be told at run time
 *   EOVERFLOW   a size or count that does not fit
 *   ENOTRECOVERABLE  the parent process made this channel, and its threads are not in this child (core/thread.h)
 *   ENOTSUP     this ring cannot do that (in-place reading from a ck ring with several consumers)
 */
#ifndef WEIR_CORE_ERROR_H
#define WEIR_CORE_ERROR_H

#include "config.h"

#include <errno.h>

/* What an error code of this library means, in a few words; "error" for one that is not its own. Any thread; wait-free. */
WEIR_API const char *weir_error_text(int code);

/* Never leaves the library: a peer stands between claiming a place in the ring and publishing it. The answer to "is it full, is it
 * empty" is not known until that peer has taken a few more steps. */
#define WEIR__BUSY (-1)

#endif /* WEIR_CORE_ERROR_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_ERROR_IMPLEMENTED)
#define WEIR_CORE_ERROR_IMPLEMENTED

WEIR_API const char *weir_error_text(int code)
{
    switch (code) {
    case 0: return "success";
    case EPIPE: return "closed";
    case EAGAIN: return "would have to wait";
    case EBUSY: return "in use";
    case EIO: return "not written";
    case ETIMEDOUT: return "deadline passed";
    case ECANCELED: return "cancelled";
    case ENOMEM: return "out of memory";
    case EINVAL: return "invalid argument";
    case EOVERFLOW: return "too large";
    case ENOTRECOVERABLE: return "made before a fork";
    case ENOTSUP: return "not supported by this ring";
    default: return "error";
    }
}

#endif /* WEIR_CORE_ERROR_IMPLEMENTED */

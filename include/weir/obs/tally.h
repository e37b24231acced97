/* weir/obs/tally.h: the numbers of channels, and of whatever else keeps a tally, as Prometheus scrapes them.
 *
 *     weir_chan_tally t[2];
 *     weir_chan_stats(jobs, &t[0]);
 *     weir_chan_stats(results, &t[1]);
 *     weir_prometheus_channels(&p, t, 2);                       weir_channel_sent_total{channel="jobs"} 4711 …
 *
 * A tally is a struct of whole numbers. What its fields are called and what they mean stands in a table, one line for each family; the families are
 * written one after the other, each with the values of all tallies, as the format wants it.
 */
#ifndef WEIR_OBS_TALLY_H
#define WEIR_OBS_TALLY_H

#include "../chan/stats.h"
#include "prometheus.h"

/* The families weir_channel_…, of n channels, told apart by the label "channel": give them names that differ. 0, or the first error of
 * weir_prometheus_family. */
WEIR_API int weir_prometheus_channels(weir_prometheus *p, const weir_chan_tally *tallies, size_t n);

/* One family: a field of a tally. Its size says what it is: bool, unsigned, or a number of 64 bits. */
typedef struct weir__tally_field {
    const char *family, *help;
    int type;
    size_t offset, size;
} weir__tally_field;
#define WEIR__TALLY_FIELD(family, type, tally, field, help)                                                            \
    {                                                                                                                  \
        family, help, type, offsetof(tally, field), sizeof(((tally *)0)->field)                                        \
    }

/* n tallies of `stride` bytes, each of which begins with its name (const char *), which becomes the value of `label`. */
WEIR_API int weir__prometheus_tallies(weir_prometheus *p, const weir__tally_field *fields, size_t field_count,
                                      const char *label, const void *tallies, size_t n, size_t stride);

#endif /* WEIR_OBS_TALLY_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_TALLY_IMPLEMENTED)
#define WEIR_OBS_TALLY_IMPLEMENTED

static uint64_t weir__tally_number(const unsigned char *at, size_t size)
{
    uint64_t large;
    uint32_t small;
    bool flag;
    if (size == sizeof flag) {
        memcpy(&flag, at, sizeof flag);
        return flag;
    }
    if (size == sizeof small) {
        memcpy(&small, at, sizeof small);
        return small;
    }
    memcpy(&large, at, sizeof large);
    return large;
}

WEIR_API int weir__prometheus_tallies(weir_prometheus *p, const weir__tally_field *fields, size_t field_count,
                                      const char *label, const void *tallies, size_t n, size_t stride)
{
    for (size_t f = 0; f < field_count; f++) {
        const int rc = weir_prometheus_family(p, fields[f].family, fields[f].help, fields[f].type);
        if (rc != 0)
            return rc;
        for (size_t i = 0; i < n; i++) {
            const unsigned char *tally = (const unsigned char *)tallies + i * stride;
            weir_label of = {label, NULL};
            memcpy(&of.value, tally, sizeof of.value);
            (void)weir_prometheus_count(p, &of, 1, weir__tally_number(tally + fields[f].offset, fields[f].size));
        }
    }
    return 0;
}

WEIR_API int weir_prometheus_channels(weir_prometheus *p, const weir_chan_tally *tallies, size_t n)
{
    static const weir__tally_field fields[] = {
        WEIR__TALLY_FIELD("weir_channel_length", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, len, "Values in it."),
        WEIR__TALLY_FIELD("weir_channel_capacity", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, cap, "Values that fit."),
        WEIR__TALLY_FIELD("weir_channel_closed", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, closed, "1: it was closed."),
        WEIR__TALLY_FIELD("weir_channel_sent_total", WEIR_PROMETHEUS_COUNTER, weir_chan_tally, sent,
                          "Values accepted."),
        WEIR__TALLY_FIELD("weir_channel_received_total", WEIR_PROMETHEUS_COUNTER, weir_chan_tally, received,
                          "Values taken."),
        WEIR__TALLY_FIELD("weir_channel_senders_asleep", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, senders_asleep,
                          "Senders that sleep."),
        WEIR__TALLY_FIELD("weir_channel_receivers_asleep", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, receivers_asleep,
                          "Receivers that sleep."),
        WEIR__TALLY_FIELD("weir_channel_sender_sleeps_total", WEIR_PROMETHEUS_COUNTER, weir_chan_tally, senders_slept,
                          "How often a sender lay down."),
        WEIR__TALLY_FIELD("weir_channel_receiver_sleeps_total", WEIR_PROMETHEUS_COUNTER, weir_chan_tally,
                          receivers_slept, "How often a receiver lay down."),
    };
    return weir__prometheus_tallies(p, fields, sizeof fields / sizeof fields[0], "channel", tallies, n,
                                    sizeof *tallies);
}

#endif /* WEIR_OBS_TALLY_IMPLEMENTED */

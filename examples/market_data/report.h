/* market_data/report.h: what is told at the end, for people and as JSON. */
#ifndef MARKET_DATA_REPORT_H
#define MARKET_DATA_REPORT_H

#include "run.h"

enum { STAGES = 5 };

struct report {
    struct machine *machine;
    struct stage *stages[STAGES];
    uint64_t messages;
    double seconds;
    bool complete; /* to the end of the input */
};

/* The parsers count as one stage: their latencies are put together, and their waits added up. */
static inline struct report report_of(struct machine *m, bool complete)
{
    struct report r = {
        m,
        {&m->source.stage, &m->parsers[0].stage, &m->builder.stage, &m->statistics.stage, &m->sink.stage},
        atomic_load(&m->sink.count),
        (double)m->elapsed / 1e9,
        complete};
    for (unsigned i = 1; i < m->opt->parsers; i++) {
        weir_hist_merge(&m->parsers[0].stage.latency, &m->parsers[i].stage.latency);
        m->parsers[0].stage.blocked_in += m->parsers[i].stage.blocked_in;
        m->parsers[0].stage.blocked_out += m->parsers[i].stage.blocked_out;
    }
    return r;
}

static inline double report_rate(const struct report *r)
{
    return r->seconds > 0 ? (double)r->messages / r->seconds : 0;
}

static inline void report_stages(const struct report *r, FILE *to)
{
    fprintf(to, "%-10s %11s %11s %11s %11s %11s  %15s %15s\n", "stage (ns)", "p50", "p90", "p99", "p99.9", "max",
            "blocked on in", "blocked on out");
    for (size_t i = 0; i < STAGES; i++) {
        struct stage *s = r->stages[i];
        fprintf(to,
                "%-10s %11" PRId64 " %11" PRId64 " %11" PRId64 " %11" PRId64 " %11" PRId64 "  %15" PRId64 " %15" PRId64
                "\n",
                s->name, weir_hist_percentile(&s->latency, 50), weir_hist_percentile(&s->latency, 90),
                weir_hist_percentile(&s->latency, 99), weir_hist_percentile(&s->latency, 99.9),
                weir_hist_max(&s->latency), s->blocked_in, s->blocked_out);
    }
}

static inline void report_print(const struct report *r, FILE *to)
{
    const struct machine *m = r->machine;
    const struct options *o = m->opt;
    const struct statistics *s = &m->statistics;
    fprintf(to, "%" PRIu64 " messages in %.6f s: %.0f messages/s", r->messages, r->seconds, report_rate(r));
    if (o->sequential)
        fputs(" (sequential)\n", to);
    else
        fprintf(to, " (%zu threads, %u parsing, wait %s%s)\n", m->threads, o->parsers, wait_names[o->wait],
                o->cpu_count > 0 ? ", pinned" : "");
    fputs(o->pace > 0
              ? "latency: from the moment a message was due until the stage was done with it\n"
              : "latency: from the moment a message was read until the stage was done with it; without --pace that is\n"
                "         mostly the wait in queues that a reader at full speed keeps full\n",
          to);
    report_stages(r, to);
    fprintf(to, "trades %" PRIu64 ", volume %" PRId64 ", reductions of unknown levels %" PRIu64 "\n", s->trades,
            s->volume, m->builder.unknown);
    fprintf(to,
            "last best ask %" PRId64 " x %" PRId64 ", last best bid %" PRId64 " x %" PRId64
            "   (dollars x 10000, shares)\n",
            s->best.ask, s->best.ask_size, s->best.bid, s->best.bid_size);
    if (o->book != NULL)
        fprintf(to, "book: rows=%" PRIu64 " agree=%" PRIu64 " differ=%" PRIu64 "\n", s->agree + s->differ, s->agree,
                s->differ);
}

static inline void report_json_stage(struct stage *s, unsigned threads, FILE *to)
{
    fprintf(to,
            "    {\"name\": \"%s\", \"threads\": %u, \"p50_ns\": %" PRId64 ", \"p90_ns\": %" PRId64
            ", \"p99_ns\": %" PRId64 ", \"p99_9_ns\": %" PRId64 ", \"max_ns\": %" PRId64 ", \"blocked_in_ns\": %" PRId64
            ", \"blocked_out_ns\": %" PRId64 "}",
            s->name, threads, weir_hist_percentile(&s->latency, 50), weir_hist_percentile(&s->latency, 90),
            weir_hist_percentile(&s->latency, 99), weir_hist_percentile(&s->latency, 99.9), weir_hist_max(&s->latency),
            s->blocked_in, s->blocked_out);
}

static inline void report_json_options(const struct options *o, FILE *to)
{
    fprintf(to, "  \"sequential\": %s,\n  \"parsers\": %u,\n  \"wait\": \"%s\",\n  \"repeat\": %u,\n",
            o->sequential ? "true" : "false", o->parsers, wait_names[o->wait], o->repeat);
    fprintf(to, "  \"pace\": %g,\n  \"pin\": [", o->pace);
    for (size_t i = 0; i < o->cpu_count; i++)
        fprintf(to, "%s%d", i == 0 ? "" : ", ", o->cpus[i]);
    fputs("],\n", to);
}

static inline void report_json(const struct report *r, FILE *to)
{
    const struct machine *m = r->machine;
    const struct statistics *s = &m->statistics;
    fputs("{\n", to);
    report_json_options(m->opt, to);
    fprintf(to,
            "  \"complete\": %s,\n  \"messages\": %" PRIu64
            ",\n  \"seconds\": %.9f,\n  \"messages_per_second\": %.0f,\n",
            r->complete ? "true" : "false", r->messages, r->seconds, report_rate(r));
    fprintf(to, "  \"trades\": %" PRIu64 ",\n  \"volume\": %" PRId64 ",\n  \"unknown_levels\": %" PRIu64 ",\n",
            s->trades, s->volume, m->builder.unknown);
    fprintf(to,
            "  \"best\": {\"ask\": %" PRId64 ", \"ask_size\": %" PRId64 ", \"bid\": %" PRId64 ", \"bid_size\": %" PRId64
            "},\n",
            s->best.ask, s->best.ask_size, s->best.bid, s->best.bid_size);
    if (m->opt->book != NULL)
        fprintf(to, "  \"book\": {\"rows\": %" PRIu64 ", \"agree\": %" PRIu64 ", \"differ\": %" PRIu64 "},\n",
                s->agree + s->differ, s->agree, s->differ);
    else
        fputs("  \"book\": null,\n", to);
    fputs("  \"stages\": [\n", to);
    for (size_t i = 0; i < STAGES; i++) {
        report_json_stage(r->stages[i], i == 1 && !m->opt->sequential ? m->opt->parsers : 1, to);
        fputs(i + 1 < STAGES ? ",\n" : "\n", to);
    }
    fputs("  ]\n}\n", to);
}

#endif /* MARKET_DATA_REPORT_H */

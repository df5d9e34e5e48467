/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <stddef.h>

/*
 * The cases, with their sizes: the same for every program. The name is what the table shows. Python
 * runs the smaller of two sizes where the larger would take it minutes; see
 * programs/python_peers.py.
 */
const struct bench_case bench_cases[] = {
    {"fib-list", "fib(0..34)", 34, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"fib-list", "fib(0..24)", 24, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"fib-list", "fib(0..30)", 30, BENCH_ONE_AND_ALL, BENCH_QUICK},
    {"fib-list", "fib(0..18)", 18, BENCH_ONE_AND_ALL, BENCH_QUICK},

    {"fib", "fib(36)", 36, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"fib", "fib(30)", 30, BENCH_ONE_AND_ALL, BENCH_QUICK},

    {"sleep", "plain", 10, BENCH_TWO, BENCH_BOTH},
    {"sleep", "blocking regions", 10, BENCH_TWO, BENCH_BOTH},

    {"squares", "n=1000", 1000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"squares", "n=10000000", 10000000, BENCH_ONE_AND_ALL, BENCH_BOTH},

    {"loops", "n=1000", 1000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"loops", "n=10000", 10000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"loops", "n=100000", 100000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"loops", "n=1000000", 1000000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"loops", "n=20000000", 20000000, BENCH_ONE_AND_ALL, BENCH_FULL},

    {"irregular", "triangular", 100000, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"irregular", "triangular", 20000, BENCH_ONE_AND_ALL, BENCH_QUICK},
    {"irregular", "power law", 100000, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"irregular", "power law", 20000, BENCH_ONE_AND_ALL, BENCH_QUICK},

    {"reduce", "n=100000", 100000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"reduce", "n=10000000", 10000000, BENCH_ONE_AND_ALL, BENCH_BOTH},

    {"scan", "n=100000", 100000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"scan", "n=10000000", 10000000, BENCH_ONE_AND_ALL, BENCH_BOTH},

    {"imap", "ordered", 100000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"imap", "unordered", 100000, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"imap", "ordered, by 100", 100000, BENCH_ONE_AND_ALL, BENCH_BOTH},

    {"tree", "n=1023", 1023, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"tree", "n=1048575", 1048575, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"tree", "n=8388607", 8388607, BENCH_ONE_AND_ALL, BENCH_FULL},

    {"queens", "12 queens", 12, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"queens", "11 queens", 11, BENCH_ONE_AND_ALL, BENCH_QUICK},

    {"uts", "geometric", 4027408, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"uts", "geometric", 251238, BENCH_ONE_AND_ALL, BENCH_QUICK},
    {"uts", "binomial", 4039985, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"uts", "binomial", 255773, BENCH_ONE_AND_ALL, BENCH_QUICK},

    /* The tasks of "submit" are so few that no runtime stops queueing and runs them on the spot. */
    {"latency", "apply", 1, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"latency", "submit", 32, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"latency", "map of one", 1, BENCH_ONE_AND_ALL, BENCH_BOTH},
    {"latency", "wake", 1, BENCH_ALL, BENCH_BOTH},
    {"latency", "tasks", 1000000, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"latency", "tasks", 100000, BENCH_ONE_AND_ALL, BENCH_QUICK},
    {"latency", "few tasks", 10000, BENCH_ONE_AND_ALL, BENCH_FULL},
    {"latency", "few tasks", 1000, BENCH_ONE_AND_ALL, BENCH_QUICK},

    {"processes", "apply", 1, BENCH_ALL, BENCH_BOTH},
    {"processes", "submit", 1, BENCH_ALL, BENCH_BOTH},
    {"processes", "map, chunk 1", 100000, BENCH_ALL, BENCH_FULL},
    {"processes", "map, chunk 1", 10000, BENCH_ALL, BENCH_QUICK},
    {"processes", "map", 100000, BENCH_ALL, BENCH_FULL},
    {"processes", "map", 10000, BENCH_ALL, BENCH_QUICK},
    {"processes", "1 MB, copied", 1048576, BENCH_ALL, BENCH_BOTH},
    {"processes", "1 MB, shared", 1048576, BENCH_ALL, BENCH_BOTH},
    {"processes", "1 GB, copied", 1073741824, BENCH_ALL, BENCH_FULL},
    {"processes", "1 GB, shared", 1073741824, BENCH_ALL, BENCH_FULL},
    {"processes", "start", 1, BENCH_TWO, BENCH_BOTH},
    {"processes", "recovery", 1, BENCH_ONE, BENCH_BOTH},

    {NULL, NULL, 0, BENCH_ONE_AND_ALL, BENCH_BOTH},
};

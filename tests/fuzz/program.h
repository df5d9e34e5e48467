/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_FUZZ_PROGRAM_H
#define DP_TESTS_FUZZ_PROGRAM_H

/*
 * What the bytes of an input mean: a header and steps of eight bytes each, so that what a fuzzer
 * does to one step leaves the others as they were. Every sequence of bytes is a program, and every
 * program can be written as text and read back.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MAX_THREADS = 3, MAX_POOLS = 3, MAX_LIMITERS = 2, MAX_STEPS = 48, STEP_BYTES = 8 };

/* The steps: name, whether its thread may wait in it for work (see open_gates()). */
#define FUZZ_OPS(X)      \
    X(apply, 1)          \
    X(map, 1)            \
    X(starmap, 1)        \
    X(for, 1)            \
    X(reduce, 1)         \
    X(scan, 1)           \
    X(scan_range, 1)     \
    X(run, 1)            \
    X(for_2d, 1)         \
    X(for_3d, 1)         \
    X(then, 0)           \
    X(then_all, 0)       \
    X(wait, 0)           \
    X(get, 1)            \
    X(status, 0)         \
    X(cancel, 0)         \
    X(on_done, 0)        \
    X(release, 0)        \
    X(wait_many, 0)      \
    X(share, 0)          \
    X(peek, 0)           \
    X(add, 0)            \
    X(take, 0)           \
    X(drop_set, 0)       \
    X(imap, 1)           \
    X(imap_unordered, 1) \
    X(next, 1)           \
    X(iter_error, 1)     \
    X(drop_iter, 1)      \
    X(create, 1)         \
    X(destroy, 1)        \
    X(close, 0)          \
    X(join, 0)           \
    X(cancel_pool, 0)    \
    X(terminate, 1)      \
    X(resize, 1)         \
    X(stats, 0)          \
    X(limiter, 0)        \
    X(usage, 0)          \
    X(push, 0)           \
    X(pop, 0)            \
    X(fork_join, 1)      \
    X(open, 0)           \
    X(partition, 0)      \
    X(random, 0)         \
    X(allreduce, 1)      \
    X(typed, 1)          \
    X(words, 0)          \
    X(outside, 0)        \
    X(bad, 0)            \
    X(process, 0)

typedef enum fuzz_op {
#define FUZZ_OP(name, waits) OP_##name,
    FUZZ_OPS(FUZZ_OP)
#undef FUZZ_OP
        OPS
} fuzz_op;

/* What items do besides computing: name. */
#define FUZZ_ACTS(X)                                                                          \
    X(none)                                                                                   \
    X(look)       /* returns DP_ECANCELLED when it is asked to stop */                        \
    X(spin)       /* takes some microseconds */                                               \
    X(block)      /* lends its place */                                                       \
    X(nap)        /* dp_sleep() */                                                            \
    X(nest)       /* a loop on its own pool */                                                \
    X(nest_other) /* a map on the next pool */                                                \
    X(job)        /* an asynchronous call on its own pool, waited for */                      \
    X(fork)       /* fork and join */                                                         \
    X(cancel)     /* cancels the future that it belongs to */                                 \
    X(wait)       /* waits for itself */                                                      \
    X(end_pool)   /* wants its own pool to end */                                             \
    X(make_pool)  /* a pool of its own */                                                     \
    X(token)      /* wants another token of its limiter */                                    \
    X(lane)       /* looks at its lane, its worker's memory and its stream */                 \
    X(step)       /* in a lazy map: asks its own iterator; elsewhere: config and completed */ \
    X(call)       /* any short call on its own pool */                                        \
    X(null)       /* one on the pool that NULL means there */                                 \
    X(resize)     /* makes its own pool larger or smaller */                                  \
    X(process)    /* forks the process */                                                     \
    X(told)       /* nothing, but who is told of progress makes a call */                     \
    X(source)     /* nothing, but the source of a lazy map does something */

typedef enum fuzz_act {
#define FUZZ_ACT(name) ACT_##name,
    FUZZ_ACTS(FUZZ_ACT)
#undef FUZZ_ACT
        ACTS
} fuzz_act;

/* The bits of step.how. Two bits each for the policy, the retries and the deadline. */
#define FUZZ_HOWS(X)    \
    X(async, 0x0001)    \
    X(finish, 0x0002)   \
    X(collect, 0x0004)  \
    X(status, 0x0008)   \
    X(gate, 0x0010)     \
    X(ordered, 0x0020)  \
    X(seed, 0x0040)     \
    X(progress, 0x0080) \
    X(retry, 0x0100)    \
    X(retry2, 0x0200)   \
    X(deadline, 0x0400) \
    X(short, 0x0800)    \
    X(limit, 0x1000)    \
    X(high, 0x2000)     \
    X(low, 0x4000)      \
    X(limiter, 0x8000)

typedef enum fuzz_how {
#define FUZZ_HOW(name, bit) HOW_##name = (bit),
    FUZZ_HOWS(FUZZ_HOW)
#undef FUZZ_HOW
} fuzz_how;

typedef struct fuzz_step {
    uint8_t op, thread, pool, slot; /* pool MAX_POOLS: the default pool */
    uint8_t size, chunk;            /* codes for numbers, see step_size() and step_chunk() */
    uint16_t how;
    uint8_t act, at; /* what the items do, and which item alone; 0: all of them */
    uint8_t fail;    /* which items fail, see job.c */
    uint8_t extra;   /* what an operation likes */
} fuzz_step;

typedef struct fuzz_program {
    uint8_t threads;
    uint8_t pools[MAX_POOLS];       /* how each is made, see pools.c */
    uint8_t limiters[MAX_LIMITERS]; /* tokens */
    uint8_t outside;                /* what stands in the environment, see machine.c */
    size_t nsteps;
    fuzz_step steps[MAX_STEPS];
} fuzz_program;

void program_decode(fuzz_program *program, const uint8_t *bytes, size_t size);

/* At most FUZZ_BYTES; the number written. */
enum { HEADER_BYTES = 8, FUZZ_BYTES = HEADER_BYTES + MAX_STEPS * STEP_BYTES };
size_t program_encode(const fuzz_program *program, uint8_t *bytes);

void program_show(const fuzz_program *program, FILE *file);
void step_show(const fuzz_step *step, FILE *file);

/* Reads what program_show() has written. 0, or the number of the line that makes no sense. */
int program_read(fuzz_program *program, FILE *file);

size_t step_size(const fuzz_step *step);
size_t step_chunk(const fuzz_step *step);
int op_waits(fuzz_op op);
const char *op_name(fuzz_op op);

#endif

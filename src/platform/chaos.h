/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_CHAOS_H
#define DP_PLATFORM_CHAOS_H

/*
 * Chaos: in a build with DP_CHAOS, every atomic access, futex and choice of a victim is a place
 * where the calling thread may be held up, may fail or may be sent elsewhere, as a random generator
 * says that DP_CHAOS=seed in the environment starts. Races whose window is a few instructions long
 * then happen in seconds. chaos.md tells what is done and why. In other builds nothing of this
 * exists.
 */

#ifdef DP_CHAOS

#    include <stdint.h>

/* Kinds of what happens to a thread. */
enum dp__chaos_kind {
    DP__CHAOS_YIELD,
    DP__CHAOS_SPIN,
    DP__CHAOS_SLEEP,
    DP__CHAOS_FAIL,  /* A compare-and-swap that would have succeeded. */
    DP__CHAOS_EARLY, /* A wait that returns at once. */
    DP__CHAOS_SKIP,  /* A victim that is passed over. */
    DP__CHAOS_KINDS
};

/* Places in the code are told apart by this many numbers. */
enum { DP__CHAOS_SITES = 32 };

/* What one thread has before it. Each belongs to its thread alone. */
typedef struct dp__chaos {
    uint64_t random;
    uint32_t left;    /* Points until the next perturbation; 0 in a thread that has passed none. */
    uint32_t site;    /* Points with this number are held up as long as `visits` lasts. */
    uint32_t visits;  /* 0 everywhere when there is no chaos. */
    uint32_t gap;     /* `left` begins below this. */
    uint32_t held_up; /* So often, elsewhere than at its site. */
    /* Parts of 256. */
    uint8_t yields, sleeps, fails, early, skips;
    /* What has happened so far, for tests. */
    uint64_t count[DP__CHAOS_KINDS];
    uint64_t digest; /* Differs when the kinds, their order or their extent differ. */
} dp__chaos;

extern _Thread_local dp__chaos dp__chaos_here;

void dp__chaos_perturb(uint32_t site);

/* Perhaps lets others go first. Allocates nothing, takes no lock, leaves errno as it was, and may
   be passed in a signal handler. */
static inline void dp__chaos_point(uint32_t line)
{
    dp__chaos *c = &dp__chaos_here;
    if (c->left-- == 0 || (c->visits > 0 && line % DP__CHAOS_SITES == c->site))
        dp__chaos_perturb(line % DP__CHAOS_SITES);
}

/* Whether the caller should act as if it had lost a race, been woken for no reason, or seen no
   work, which are the last three kinds. */
int dp__chaos_decides(enum dp__chaos_kind kind);

/* The seed in use; 0 when there is no chaos. *is_odd: the environment has none that makes sense. */
uint32_t dp__chaos_seed(int *is_odd);

/* After a fork, in parent and child: the child goes on with a seed of its own, which differs from
   that of the parent's other children. */
void dp__chaos_after_fork(int is_child);

/*
 * DP__CHAOS_AFTER(value) is the value, and DP__CHAOS_DONE(action) does something without one; both
 * pass a point then. After and not before: then the stretches of plain accesses that follow an
 * atomic one are prolonged as well. The number keeps nested uses apart:
 *     __extension__({ __auto_type dp__v7 = (value); dp__chaos_point(118); dp__v7; })
 */
#    define DP__CHAOS_AFTER(value)       DP__CHAOS_NUMBERED(value, __COUNTER__)
#    define DP__CHAOS_NUMBERED(value, n) DP__CHAOS_EXPANDED(value, n)
#    define DP__CHAOS_EXPANDED(value, n)    \
        __extension__({                     \
            __auto_type dp__v##n = (value); \
            dp__chaos_point(__LINE__);      \
            dp__v##n;                       \
        })
#    define DP__CHAOS_DONE(action) ((action), dp__chaos_point(__LINE__))
/* Instead of a compare-and-swap that may fail for no reason, what such a failure looks like. */
#    define DP__CHAOS_FAILING(swap, failed) \
        (dp__chaos_decides(DP__CHAOS_FAIL) ? ((failed), 0) : (swap))
#    define DP__CHAOS_DECIDES(kind)    dp__chaos_decides(kind)
#    define DP__CHAOS_FORKED(is_child) dp__chaos_after_fork(is_child)

#else
#    define DP__CHAOS_AFTER(value)          (value)
#    define DP__CHAOS_DONE(action)          (action)
#    define DP__CHAOS_FAILING(swap, failed) (swap)
#    define DP__CHAOS_DECIDES(kind)         0
#    define DP__CHAOS_FORKED(is_child)      ((void)0)
#endif

#endif

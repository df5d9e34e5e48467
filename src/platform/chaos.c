/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "chaos.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* Nothing here uses atomic.h, whose every access leads here. */

/* A thread that has no chaos before it looks again after so many points. */
#define FOR_LONG UINT32_MAX

/* At its own site a thread is held up so often; no more, or a busy site would stop the program. */
enum { VISITS = 48 };

/* After so many perturbations a thread has them half as often, down to one in 2^20 points: what is
   short or happens at the beginning is held up all the time, and what runs for long still ends. */
enum { TIRING = 512, LARGEST_GAP = 1 << 20 };

/* What the environment says: UNREAD, or READ with the seed and perhaps ODD. It carries no other
   data, so relaxed order is enough; two threads may both read it. */
#define READ (UINT64_C(1) << 32)
#define ODD  (UINT64_C(1) << 33)
static _Atomic(uint64_t) environment;

/* Threads that have come, which is what their numbers are. */
static _Atomic(uint32_t) arrived;

_Thread_local dp__chaos dp__chaos_here;

/* ---- Chance ---- */

/* splitmix64 (Steele, Lea and Flood, 2014): every state is a good one, 0 too. */
static uint64_t next(dp__chaos *c)
{
    uint64_t z = (c->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(dp__chaos *c, uint32_t bound)
{
    return (uint32_t)(next(c) % bound);
}

static void note(dp__chaos *c, enum dp__chaos_kind kind, uint32_t extent)
{
    c->count[kind]++;
    c->digest =
        (c->digest ^ (extent * (uint64_t)DP__CHAOS_KINDS + kind)) * UINT64_C(0x9e3779b97f4a7c15);
    c->digest ^= c->digest >> 29;
}

/* ---- The seed ---- */

/* A number below 2^32 in decimal, 0 for no text; ODD for any other text. */
static uint64_t seed_in(const char *text)
{
    uint64_t seed = 0;
    for (; *text >= '0' && *text <= '9' && seed <= UINT32_MAX; text++)
        seed = seed * 10 + (uint64_t)(*text - '0');
    return *text || seed > UINT32_MAX ? ODD : seed;
}

static uint64_t read_environment(void)
{
    uint64_t known = atomic_load_explicit(&environment, memory_order_relaxed);
    if (known)
        return known;
    const char *text = getenv("DP_CHAOS");
    known = READ | (text ? seed_in(text) : 0);
    atomic_store_explicit(&environment, known, memory_order_relaxed);
    return known;
}

uint32_t dp__chaos_seed(int *is_odd)
{
    uint64_t known = read_environment();
    *is_odd = (known & ODD) != 0;
    return (uint32_t)known;
}

/* ---- The manner ---- */

/* The same for all threads of a seed. */
static void choose_manner(dp__chaos *c)
{
    c->gap = UINT32_C(16) << below(c, 6);
    c->yields = (uint8_t)(4 + below(c, 16)); /* On a busy machine each costs a time slice. */
    c->sleeps = (uint8_t)(1 + below(c, 16));
    c->fails = (uint8_t)(8 << below(c, 4));
    c->early = (uint8_t)(16 << below(c, 4));
    c->skips = (uint8_t)(16 << below(c, 4));
}

/* ---- Perturbations ---- */

static void pause_for(uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++)
        __asm__ __volatile__("" ::: "memory");
}

static void sleep_for(uint32_t microseconds)
{
    struct timespec time = {0, (long)microseconds * 1000};
    nanosleep(&time, NULL);
}

/* Holds the thread up in one of three ways, most of them short. */
static void hold_up(dp__chaos *c, int for_long)
{
    uint32_t dice = below(c, 256), extent = 0;
    if (for_long || dice < c->sleeps) {
        /* Mostly as long as a wake-up takes, seldom as long as another process takes. */
        extent = 1 + below(c, below(c, 64) == 0 ? 1000 : 50);
        note(c, DP__CHAOS_SLEEP, extent);
        sleep_for(extent);
    } else if (dice < (uint32_t)c->sleeps + c->yields) {
        note(c, DP__CHAOS_YIELD, 1);
        sched_yield();
    } else {
        extent = below(c, UINT32_C(1) << below(c, 15));
        note(c, DP__CHAOS_SPIN, extent);
        pause_for(extent);
    }
}

/* ---- Threads ---- */

static void begin(dp__chaos *c)
{
    uint64_t known = read_environment();
    *c = (dp__chaos){.left = FOR_LONG};
    if ((uint32_t)known == 0)
        return;
    c->random = (uint64_t)(uint32_t)known << 32;
    choose_manner(c);
    c->random += atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
    c->random = next(c); /* Otherwise neighbours have nearly the same sequence. */
    c->site = below(c, DP__CHAOS_SITES);
    c->visits = VISITS;
    /* One thread of four is slow, and one of four is quick. */
    uint32_t pace = below(c, 4);
    c->gap = pace == 0 ? 16 : pace == 1 ? c->gap * 8 : c->gap;
    c->left = below(c, c->gap);
    /* Some threads come late. */
    if (below(c, 4) == 0)
        hold_up(c, 1);
}

static int is_off(const dp__chaos *c)
{
    return c->gap == 0;
}

void dp__chaos_after_fork(int is_child)
{
    dp__chaos *c = &dp__chaos_here;
    if (is_off(c))
        return;
    uint32_t seed = (uint32_t)(next(c) >> 32);
    if (!is_child)
        return;
    /* The only thread is the first one. */
    atomic_store_explicit(&environment, READ | (seed ? seed : 1), memory_order_relaxed);
    atomic_store_explicit(&arrived, 0, memory_order_relaxed);
    begin(c);
}

void dp__chaos_perturb(uint32_t site)
{
    dp__chaos *c = &dp__chaos_here;
    int saved = errno;
    int is_own = c->visits > 0 && site == c->site && c->left != UINT32_MAX;
    if (is_off(c)) {
        begin(c);
    } else if (is_own) {
        c->visits--;
        hold_up(c, below(c, 2) == 0);
    } else {
        hold_up(c, 0);
        if (++c->held_up % TIRING == 0 && c->gap < LARGEST_GAP)
            c->gap *= 2;
        c->left = below(c, c->gap);
    }
    errno = saved;
}

int dp__chaos_decides(enum dp__chaos_kind kind)
{
    dp__chaos *c = &dp__chaos_here;
    uint32_t part = kind == DP__CHAOS_FAIL    ? c->fails
                    : kind == DP__CHAOS_EARLY ? c->early
                                              : c->skips;
    if (part == 0 || below(c, 256) >= part)
        return 0;
    note(c, kind, part);
    return 1;
}

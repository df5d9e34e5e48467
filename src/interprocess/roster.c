/* SPDX-License-Identifier: Apache-2.0 */
#include "roster.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dp/error.h"
#include "platform/atomic.h"

/* What /proc tells of a process. */
typedef struct stat_line {
    char state;
    long long threads;
    uint64_t start; /* 0: unknown. */
} stat_line;

/* 0 if there is nothing to read. */
static int read_line(const char *path, char *line, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got;
    do
        got = read(fd, line, size - 1);
    while (got < 0 && errno == EINTR);
    close(fd);
    line[got > 0 ? got : 0] = 0;
    return got > 0;
}

/* "pid (name) state ...": the fields are numbered from 1, and a name may have brackets too. */
static int read_stat(int32_t pid, stat_line *stat)
{
    enum { FIRST_NUMBER = 4, THREADS = 20, START = 22 };
    char path[32], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_line(path, line, sizeof line))
        return 0;
    char *at = strrchr(line, ')');
    if (!at || strlen(at) < 4)
        return 0;
    stat->state = at[2];
    at += 3;
    for (int field = FIRST_NUMBER; field <= START; field++) {
        long long number = strtoll(at, &at, 10);
        if (field == THREADS)
            stat->threads = number;
        else if (field == START)
            stat->start = (uint64_t)number;
    }
    return 1;
}

/* This process, read once. */
static _Atomic(int32_t) known;
static _Atomic(uint64_t) known_start;

static void forget(void)
{
    dp__store_relaxed(&known, 0);
}

/* Whether forked children forget what is known. They have another number, but one of them may have
   again what an ancestor had that has ended. */
static int is_forgotten(void)
{
    static _Atomic(uint32_t) is_registered;
    if (dp__load_relaxed(&is_registered))
        return 1;
    if (pthread_atfork(NULL, NULL, forget) != 0)
        return 0;
    dp__store_relaxed(&is_registered, 1); /* Twice, by two threads at once, does no harm. */
    return 1;
}

dp__peer dp__peer_self(void)
{
    int32_t self = (int32_t)getpid();
    stat_line stat = {0};
    /* Acquire: pairs with the release below. */
    if (dp__load_acquire(&known) == self)
        return (dp__peer){self, dp__load_relaxed(&known_start)};
    if (read_stat(self, &stat) && is_forgotten()) {
        dp__store_relaxed(&known_start, stat.start);
        dp__store_release(&known, self);
    }
    return (dp__peer){self, stat.start};
}

int dp__peer_is_alive(const dp__peer *peer)
{
    stat_line stat = {0};
    /* Without /proc, or a descriptor to read it, the number alone has to do. */
    if (!read_stat(peer->pid, &stat))
        return kill(peer->pid, 0) == 0 || errno != ESRCH;
    if (peer->start && stat.start && peer->start != stat.start)
        return 0;
    /* The first thread of a process may be dead before the others. */
    return (stat.state != 'Z' && stat.state != 'X') || stat.threads > 1;
}

/* ---- The roster ---- */

/* Without a descriptor to read it the start is unknown, and may have been known before, or be
   later: the number has to do. */
static dp__peer *find(dp__roster *roster, const dp__peer *peer)
{
    for (int i = 0; i < DP__ROSTER_PLACES; i++) {
        dp__peer *place = &roster->place[i];
        int same_start = place->start == peer->start || !place->start || !peer->start;
        if (place->pid == peer->pid && same_start)
            return place;
    }
    return NULL;
}

int dp__roster_join(dp__roster *roster)
{
    static const dp__peer nobody = {0, 0};
    dp__peer self = dp__peer_self();
    if (find(roster, &self))
        return 0;
    dp__peer *place = find(roster, &nobody);
    if (!place && dp__roster_look(roster) < DP__ROSTER_PLACES)
        place = find(roster, &nobody);
    if (!place)
        return DP_EBUSY;
    roster->joined++;
    *place = self;
    return 0;
}

void dp__roster_leave(dp__roster *roster)
{
    dp__peer self = dp__peer_self();
    dp__peer *place = find(roster, &self);
    if (place)
        *place = (dp__peer){0, 0};
}

int dp__roster_look(dp__roster *roster)
{
    int left = 0;
    for (int i = 0; i < DP__ROSTER_PLACES; i++) {
        dp__peer *place = &roster->place[i];
        if (place->pid && !dp__peer_is_alive(place)) {
            roster->lost++;
            *place = (dp__peer){0, 0};
        }
        left += place->pid != 0;
    }
    return left;
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "limits.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dp/error.h"
#include "platform/clock.h"

/* How often a worker looks how much memory it has, which takes it some microseconds. */
#define LOOK_NS 5000000

/* The timer is set anew for an item only if it was set so long ago: that takes a microsecond, which
   is more than most items. */
#define ARM_NS 5000000

/* Of the worker that this process is. */
static struct {
    const dp_pool_process_options *options;
    dp__seat *seat;
    int32_t timer;               /* -1: none. */
    uint64_t armed, arm_every;   /* Ticks: when the timer was set, */
    uint64_t looked, look_every; /* and when memory was looked at. */
    uint64_t begun;              /* When it began, and when it is old; UINT64_MAX: never. */
    uint64_t lasts;
    size_t tasks; /* That it has run. */
    int is_worn;
} own = {.timer = -1};

/* ---- Memory ---- */

typedef struct extent {
    uint64_t mapped, has; /* Bytes of address space, and of memory that nobody else has. */
} extent;

/* What the system says of a process, or of the calling one if it is 0. 0, or -1 if it does not. */
static int read_extent(int32_t pid, extent *out)
{
    char path[40] = "/proc/self/statm", text[160];
    uint64_t mapped, resident, shared;
    const uint64_t page = (uint64_t)getpagesize();
    if (pid != 0)
        snprintf(path, sizeof path, "/proc/%" PRId32 "/statm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return -1;
    text[size] = 0;
    if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &mapped, &resident, &shared) != 3)
        return -1;
    *out = (extent){mapped * page, (resident > shared ? resident - shared : 0) * page};
    return 0;
}

static int has_grown_by(size_t bytes, int32_t pid, const dp__seat *seat)
{
    extent now;
    uint64_t had = dp__load_relaxed(&seat->had);
    return read_extent(pid, &now) == 0 && now.has > had && now.has - had > bytes;
}

/* What is mapped already is far more than memory: the shared heap, and what a sanitizer has. */
static int limit_mappings(size_t bytes)
{
    struct rlimit limit;
    extent now;
    if (read_extent(0, &now) != 0)
        return -1;
    getrlimit(RLIMIT_AS, &limit);
    if (limit.rlim_cur <= now.mapped || limit.rlim_cur - now.mapped <= bytes)
        return 0;
    limit.rlim_cur = now.mapped + bytes;
    return setrlimit(RLIMIT_AS, &limit);
}

/* ---- Processor time ---- */

/* The numbers are those of the kernel, which the C library's function hides. */
static int make_timer(void)
{
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGXCPU;
    return (int)syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &own.timer);
}

static void arm_timer(double seconds)
{
    int64_t ns = dp__seconds_to_ns(seconds);
    if (ns == INT64_MAX)
        ns = 0; /* Never. */
    struct itimerspec when = {.it_value = {ns / 1000000000, ns % 1000000000}};
    syscall(SYS_timer_settime, own.timer, 0, &when, NULL);
}

/* ---- Items ---- */

void dp__limits_begin_item(void)
{
    if (own.timer < 0)
        return;
    uint64_t now = dp__ticks();
    if (own.armed != 0 && now - own.armed < own.arm_every)
        return;
    own.armed = now;
    arm_timer(own.options->cpu_limit + ARM_NS / 1e9);
}

static int is_large(uint64_t now)
{
    if (own.options->recycle_memory == 0 || now - own.looked < own.look_every)
        return 0;
    own.looked = now;
    return has_grown_by(own.options->recycle_memory, 0, own.seat);
}

int dp__limits_end_item(void)
{
    const dp_pool_process_options *options = own.options;
    own.tasks++;
    own.is_worn |= options->recycle_tasks > 0 && own.tasks >= options->recycle_tasks;
    if (options->recycle_memory > 0 || own.lasts != UINT64_MAX) {
        uint64_t now = dp__ticks();
        own.is_worn |= now - own.begun >= own.lasts || is_large(now);
    }
    return own.is_worn;
}

/* ---- Beginning and end ---- */

int dp__limits_set(const dp_pool_process_options *options, dp__seat *seat)
{
    own.options = options;
    own.seat = seat;
    own.timer = -1;
    own.armed = 0;
    own.tasks = 0;
    own.is_worn = 0;
    if (options->map_limit > 0 && limit_mappings(options->map_limit) != 0)
        return -1;
    return options->cpu_limit > 0 ? make_timer() : 0;
}

void dp__limits_start(void)
{
    const double per_ns = dp__ticks_per_ns();
    int64_t lasts = dp__seconds_to_ns(own.options->recycle_seconds);
    extent now = {0, UINT64_MAX}; /* If it is not told, it has not grown. */
    own.begun = own.looked = dp__ticks();
    own.arm_every = (uint64_t)(ARM_NS * per_ns);
    own.look_every = (uint64_t)(LOOK_NS * per_ns);
    own.lasts = UINT64_MAX;
    if (own.options->recycle_seconds > 0 && lasts < INT64_MAX / 16)
        own.lasts = (uint64_t)((double)lasts * per_ns);
    if (own.options->memory_limit > 0 || own.options->recycle_memory > 0)
        read_extent(0, &now);
    dp__store_relaxed(&own.seat->had, now.has);
    dp__store_relaxed(&own.seat->pid, getpid());
}

int dp__limits_are_wanted(void)
{
    return own.timer >= 0 || own.options->recycle_tasks > 0 || own.options->recycle_seconds > 0 ||
           own.options->recycle_memory > 0;
}

int dp__limits_are_worn(void)
{
    return own.is_worn;
}

void dp__limits_lift(void)
{
    if (own.timer >= 0)
        arm_timer(0);
}

/* ---- In the application ---- */

int dp__limits_has_passed(const dp_pool_process_options *options, const dp__seat *seat)
{
    return has_grown_by(options->memory_limit, dp__load_relaxed(&seat->pid), seat);
}

int dp__limits_check(const dp_pool_process_options *options)
{
    extent now;
    if (options->map_limit == 0 && options->memory_limit == 0 && options->recycle_memory == 0)
        return 0;
    return read_extent(0, &now) == 0 ? 0 : DP_ENOTSUP;
}

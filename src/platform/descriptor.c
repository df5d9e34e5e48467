/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "descriptor.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t epoch;

uint32_t dp__fd_epoch(void)
{
    return epoch;
}

int dp__pid_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

void dp__pid_take_away(int fd)
{
    const idtype_t by_descriptor = (idtype_t)3; /* P_PIDFD, which not every C library has. */
    siginfo_t how;
    if (fd >= 0)
        waitid(by_descriptor, (id_t)fd, &how, WEXITED | WNOHANG);
}

void dp__pid_signal(int fd, int number)
{
    syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
}

int dp__fd_is_readable(int fd, int milliseconds)
{
    struct pollfd set = {fd, POLLIN, 0};
    return poll(&set, 1, milliseconds) > 0;
}

int dp__fd_beyond_standard(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return moved;
}

void dp__fd_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Also in a child that has not got an image of its own yet. */
__attribute__((no_sanitize("address", "thread"))) void dp__fd_pass_on(int fd, int is_passed_on)
{
    fcntl(fd, F_SETFD, is_passed_on ? 0 : FD_CLOEXEC);
}

/* What the system writes for each entry of a directory. */
typedef struct entry {
    uint64_t inode;
    int64_t next;
    unsigned short size;
    unsigned char type;
    char name[];
} entry;

/* Closes what is open in the range, if the system shows that. Without memory of ours: the list may
   leave out what follows something that was closed meanwhile, so it is read until nothing was. */
static int close_listed(int directory, unsigned first, unsigned last)
{
    _Alignas(entry) char buffer[2048];
    long size;
    int closed = 0;
    while ((size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0)
        for (long i = 0; i < size;) {
            const entry *at = (const entry *)(const void *)(buffer + i);
            unsigned fd = (unsigned)strtol(at->name, NULL, 10);
            if (at->name[0] != '.' && fd >= first && fd <= last && fd != (unsigned)directory)
                closed += close((int)fd) == 0;
            i += at->size;
        }
    return size < 0 ? -1 : closed;
}

static void close_range_of(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    /* Descriptors may be beyond the limit, if that was lowered when they were there. */
    int closed = 0, directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (directory >= 0 && (closed = close_listed(directory, first, last)) > 0)
        lseek(directory, 0, SEEK_SET);
    dp__fd_close(directory);
    if (directory >= 0 && closed == 0)
        return;
    long most = sysconf(_SC_OPEN_MAX);
    for (unsigned fd = first; fd <= last && (long)fd < most; fd++)
        close((int)fd);
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void dp__fd_close_all_but(int first, int *keep, int count)
{
    unsigned next = (unsigned)first;
    epoch++;
    qsort(keep, (size_t)count, sizeof *keep, by_number);
    for (int i = 0; i < count; i++) {
        if (keep[i] < first)
            continue;
        /* Nothing in between if it is named twice, or the first. */
        if ((unsigned)keep[i] > next)
            close_range_of(next, (unsigned)keep[i] - 1);
        next = (unsigned)keep[i] + 1;
    }
    close_range_of(next, ~0u);
}

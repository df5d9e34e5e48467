/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "own_threads.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lock.h"

/* One that is ours, in memory of its own. */
typedef struct own_thread {
    long id;
    struct own_thread *next, **link; /* And what points here. */
} own_thread;

static dp__lock list_lock;
static own_thread *list;
static int expected; /* Those that are not in the list yet. Under the lock, too. */
static _Thread_local own_thread self;
static _Thread_local int is_listed;

static long thread_id(void)
{
    return syscall(SYS_gettid);
}

void dp__own_thread_expect(int how_many)
{
    dp__lock_acquire(&list_lock);
    expected += how_many;
    dp__lock_release(&list_lock);
}

void dp__own_thread_begin(void)
{
    dp__lock_acquire(&list_lock);
    expected--;
    self = (own_thread){thread_id(), list, &list};
    if (list)
        list->link = &self.next;
    list = &self;
    is_listed = 1;
    dp__lock_release(&list_lock);
}

void dp__own_thread_end(void)
{
    if (!is_listed) /* In a child, and the list is another one. */
        return;
    dp__lock_acquire(&list_lock);
    *self.link = self.next;
    if (self.next)
        self.next->link = self.link;
    is_listed = 0;
    dp__lock_release(&list_lock);
}

void dp__own_threads_after_fork(void)
{
    dp__store_relaxed(&list_lock.state, 0);
    list = NULL;
    expected = 0;
    is_listed = 0;
}

/* With the lock. */
static int is_own(long id)
{
    const own_thread *own = list;
    while (own && own->id != id)
        own = own->next;
    return own != NULL;
}

/* Whether a thread with this name in the directory goes on: one that has been joined may still
   stand there, and holds nothing. */
static int goes_on(const char *name)
{
    enum { ENDING = 4 }; /* PF_EXITING of the kernel. */
    char path[64], text[512];
    unsigned flags = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT;
    ssize_t size = read(fd, text, sizeof text - 1);
    int is_gone = size < 0 && errno == ESRCH;
    close(fd);
    if (size <= 0)
        return !is_gone;
    text[size] = 0;
    /* Behind the name: state, five numbers, and the flags. */
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
        return 1;
    return (flags & ENDING) == 0;
}

/* As the system writes it. */
typedef struct entry {
    uint64_t number, offset;
    uint16_t length;
    uint8_t type;
    char name[];
} entry;

/* With the lock. */
static int count_in(int directory)
{
    _Alignas(entry) char buffer[2048];
    long own = thread_id(), size;
    int count = 0;
    while ((size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
        const entry *at;
        for (long i = 0; i < size; i += at->length) {
            at = (const entry *)(const void *)(buffer + i);
            long id = strtol(at->name, NULL, 10);
            count += id > 0 && id != own && !is_own(id) && goes_on(at->name);
        }
    }
    return size < 0 ? -1 : count;
}

int dp__other_threads(void)
{
    for (;;) {
        int directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
            return -1;
        dp__lock_acquire(&list_lock);
        int count = count_in(directory), is_settled = expected == 0;
        dp__lock_release(&list_lock);
        close(directory);
        if (count <= 0 || is_settled)
            return count;
        /* One of those may be ours, which is about to say so. */
        sched_yield();
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "descriptor.h"
#include "heap_layout.h"

/*
 * A heap for programs whose workers begin as a fresh image: a file in memory, at an address that
 * will be free there. heap.md says why other programs have none.
 */

static _Atomic(uint32_t) is_wanted;

/* Of Linux 5.17's headers, and what it means since 4.17. */
#ifndef MAP_FIXED_NOREPLACE
#    define MAP_FIXED_NOREPLACE 0x100000
#endif

void dp__heap_want_file(void)
{
    dp__store_relaxed(&is_wanted, 1);
}

/*
 * Far from where the system puts programs, their memory, libraries and stacks, however it shuffles
 * them; a wish that is not fulfilled where there is no such address. ThreadSanitizer allows few
 * addresses: where programs lie that are not shuffled, it has half a tebibyte.
 */
static void *wanted_address(size_t size)
{
#if DP__TSAN
    const uintptr_t low = (uintptr_t)1 << 36;
    return size <= low * 7 ? (void *)low : NULL;
#else
    (void)size;
    return sizeof(void *) == 8 ? (void *)((uintptr_t)1 << 45) : NULL;
#endif
}

/* A file of that size, which nobody can make another size; -1 if it is refused. Who makes a larger
   file than he may is sent a signal. */
static int open_file(size_t size)
{
    struct rlimit most;
    getrlimit(RLIMIT_FSIZE, &most);
    if (most.rlim_cur != RLIM_INFINITY && most.rlim_cur < size)
        return -1;
    int file = (int)syscall(SYS_memfd_create, "dp-heap", 1u | 2u /* CLOEXEC, ALLOW_SEALING */);
    file = dp__fd_beyond_standard(file);
    if (file < 0)
        return -1;
    if (ftruncate(file, (off_t)size) == 0) {
        fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        return file;
    }
    close(file);
    return -1;
}

void *dp__heap_map_file(size_t size, int *file)
{
    *file = -1;
    if (!dp__load_relaxed(&is_wanted) || (*file = open_file(size)) < 0)
        return NULL;
    void *map = mmap(wanted_address(size), size, PROT_NONE, MAP_SHARED | MAP_NORESERVE, *file, 0);
    if (map != MAP_FAILED)
        return map;
    close(*file);
    *file = -1;
    return NULL;
}

dp__heap_file dp__heap_look_at_file(int file)
{
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0)
        return (dp__heap_file){0, 0, 0};
    return (dp__heap_file){status.st_dev, status.st_ino, (uint32_t)fcntl(file, F_GET_SEALS)};
}

/* A program that closes what it does not know may have another file there. */
static int leads_to(int file, const dp__heap_file *wanted)
{
    dp__heap_file found = dp__heap_look_at_file(file);
    return found.number != 0 && found.number == wanted->number && found.device == wanted->device &&
           found.seals == wanted->seals;
}

dp__heap_site dp__heap_find(void)
{
    const dp__heap *heap = dp__heap_here();
    dp__heap_site site = {.file = -1, .address = (void *)(uintptr_t)heap};
    if (!heap)
        return site;
    site.size = heap->end * DP__UNIT;
    site.is = heap->file_is;
    if (leads_to(heap->file, &heap->file_is))
        site.file = heap->file;
    return site;
}

int dp__heap_join(const dp__heap_site *site)
{
    if (!leads_to(site->file, &site->is)) {
        errno = EBADF;
        return -1;
    }
    /* Protected until it is there, as in heap.c. */
    void *map = mmap(site->address, site->size, PROT_NONE,
                     MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, site->file, 0);
    if (map == MAP_FAILED)
        return -1;
    if (map != site->address) { /* A kernel that does not know the flag takes it for a wish. */
        munmap(map, site->size);
        errno = EEXIST;
        return -1;
    }
    if (mprotect(map, site->size, PROT_READ | PROT_WRITE) != 0) {
        munmap(map, site->size);
        errno = ENOMEM;
        return -1;
    }
    madvise(map, site->size, MADV_DONTDUMP);
    dp__heap_protect(map);
    dp__heap_want_file();
    dp__heap_begin_with(map);
    return 0;
}

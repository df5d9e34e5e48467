/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/world.h"

#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <dp/shared.h>

#include "support/engine.h"

#ifndef MFD_CLOEXEC
#    define MFD_CLOEXEC 1U
#endif

enum { STACK_SIZE = 1 << 20 };

/* ---- Statics ---- */

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "no shared world for the test: ");
    perror(what);
    abort();
}

/* The data of the program itself, without what becomes read-only when it has been relocated. */
static int find_data(struct dl_phdr_info *info, size_t size, void *found)
{
    uintptr_t *range = found, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr, end = begin + part->p_memsz;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W)) {
            range[0] = range[0] ? range[0] : begin & ~(page - 1);
            range[1] = (end + page - 1) & ~(page - 1);
        }
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t end = info->dlpi_addr + part->p_vaddr + part->p_memsz;
        if (part->p_type == PT_GNU_RELRO && (end & ~(page - 1)) > range[0])
            range[0] = end & ~(page - 1);
    }
    return 1; /* The program comes first; the libraries do not matter. */
}

static void share_statics(void)
{
    uintptr_t range[2] = {0, 0};
    dl_iterate_phdr(find_data, range);
    char *data = (char *)range[0]; /* NOLINT */
    size_t size = range[1] - range[0];
    int file = (int)syscall(SYS_memfd_create, "statics", MFD_CLOEXEC);
    /* Not by write(), into which a sanitizer looks, and which finds what lies between variables. */
    if (file < 0 || syscall(SYS_write, file, data, size) != (long)size)
        give_up("copy of the statics");
    if (mmap(data, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != data)
        give_up("mmap");
    close(file);
}

/* ---- Stack ---- */

/* Of the one test that a process runs. */
static struct {
    char *stack;
    ucontext_t outside, inside;
    void (*body)(void);
    void (*errand)(void *context); /* What is to be done outside; NULL: the body has ended. */
    void *context;
} world;

static void begin(void)
{
    world.body();
    world.errand = NULL;
}

static void run_inside(void (*body)(void))
{
    world.body = body;
    world.stack = dp_shared_alloc(STACK_SIZE);
    if (!world.stack || getcontext(&world.inside) != 0)
        give_up("stack");
    world.inside.uc_stack.ss_sp = world.stack;
    world.inside.uc_stack.ss_size = STACK_SIZE;
    world.inside.uc_link = &world.outside;
    makecontext(&world.inside, begin, 0);
    while (swapcontext(&world.outside, &world.inside) == 0 && world.errand)
        world.errand(world.context);
    dp_shared_free(world.stack);
    world.stack = NULL;
}

void world_run(void (*body)(void))
{
    if (is_processes()) {
        share_statics();
        run_inside(body);
    } else {
        body();
    }
}

void world_outside(void (*f)(void *context), void *context)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), stack = (uintptr_t)world.stack;
    /* Other threads, and workers, have stacks of their own. */
    if (!stack || here < stack || here >= stack + STACK_SIZE) {
        f(context);
        return;
    }
    world.errand = f;
    world.context = context;
    swapcontext(&world.inside, &world.outside);
}

/* ---- Memory ---- */

void *world_alloc(size_t n, size_t size)
{
    return is_processes() ? dp_shared_alloc(n * size) : calloc(n, size);
}

void world_free(void *memory)
{
    if (is_processes())
        dp_shared_free(memory);
    else
        free(memory);
}

/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "fiber.h"

#include <link.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "explore.h"

enum { STACK = 1 << 18 };

/* What a fiber is while it does not run. */
static struct fiber {
    jmp_buf at;
    int is_new;
    void (*f)(int number);
    char *stack;
    char *locals;
} fibers[MODEL_THREADS + 1]; /* Fiber -1 is the first. */

static int running = -1;

/* The thread-local variables: where the running fiber has them, and what they begin as. */
static struct {
    char *here;
    const char *image;
    size_t image_size, size;
} locals;

static int find_locals(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            locals.here = info->dlpi_tls_data;
            locals.image = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
            locals.image_size = info->dlpi_phdr[i].p_filesz;
            locals.size = info->dlpi_phdr[i].p_memsz;
        }
    return 1; /* The program itself comes first. */
}

int fiber_is_local(const void *address)
{
    return (const char *)address >= locals.here &&
           (const char *)address < locals.here + locals.size;
}

static struct fiber *fiber(int number)
{
    struct fiber *wanted = &fibers[number + 1];
    if (!locals.here)
        dl_iterate_phdr(find_locals, NULL);
    if (!wanted->locals && !(wanted->locals = calloc(1, locals.size + 1)))
        abort();
    return wanted;
}

void fiber_prepare(int number, void (*f)(int number))
{
    struct fiber *made = fiber(number);
    if (!made->stack) {
        made->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (made->stack == MAP_FAILED)
            abort();
    }
    made->is_new = 1;
    made->f = f;
    memset(made->locals, 0, locals.size);
    memcpy(made->locals, locals.image, locals.image_size);
}

static void start(int number)
{
    fibers[number + 1].f(number);
    abort();
}

/* Only the first switch to a fiber goes through the kernel, as swapcontext() does for the mask of
   signals. */
static void enter(struct fiber *to, int number)
{
    ucontext_t context;
    if (!to->is_new)
        _longjmp(to->at, 1);
    to->is_new = 0;
    getcontext(&context);
    context.uc_stack.ss_sp = to->stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = NULL;
    makecontext(&context, (void (*)(void))start, 1, number);
    setcontext(&context);
}

void fiber_switch(int number)
{
    struct fiber *from = fiber(running), *to = fiber(number);
    if (from == to)
        return;
    memcpy(from->locals, locals.here, locals.size);
    memcpy(locals.here, to->locals, locals.size);
    running = number;
    if (_setjmp(from->at) == 0)
        enter(to, number);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the coverage build, processes that end without exit() write what they have counted all the
 * same: the linker puts these functions before those of the C library.
 */
#include <stdlib.h>
#include <unistd.h>

void __gcov_dump(void);

/* In the program whose allocations fail. */
#pragma weak fault_end
void fault_end(void);

static void dump(void)
{
    if (fault_end)
        fault_end();
    __gcov_dump();
}

_Noreturn void __real__exit(int status);
_Noreturn void __real_abort(void);
_Noreturn void __real_quick_exit(int status);
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap_abort(void);
_Noreturn void __wrap_quick_exit(int status);

void __wrap__exit(int status)
{
    dump();
    __real__exit(status);
}

void __wrap_abort(void)
{
    dump();
    __real_abort();
}

void __wrap_quick_exit(int status)
{
    dump();
    __real_quick_exit(status);
}

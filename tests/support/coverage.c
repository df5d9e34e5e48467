/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the coverage build, processes that end without exit() write what they have counted all the
 * same: the linker puts these functions before those of the C library.
 */
#include <stdlib.h>
#include <unistd.h>

void __gcov_dump(void);

/* In the program whose calls are refused: to the other processes they still are. */
#pragma weak fault_leave
void fault_leave(void);

static void dump(void)
{
    if (fault_leave)
        fault_leave();
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

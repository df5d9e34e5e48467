/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/shared.h"

#include "platform/heap.h"

void *dp_shared_alloc(size_t size)
{
    return dp__heap_open() == 0 ? dp__heap_alloc_zeroed(size) : NULL;
}

void dp_shared_free(void *memory)
{
    dp__heap_free(memory);
}

int dp_shared_holds(const void *memory, size_t size)
{
    return dp__heap_holds(memory, size);
}

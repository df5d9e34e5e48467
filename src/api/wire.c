/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <string.h>

#include "platform/heap.h"

/* Blocks begin on lines, so that workers do not share one and types of any alignment fit. */
enum { LINE = 64 };

void *dp__parcel_place(dp__parcel *parcel, size_t bytes)
{
    char *at = parcel->memory ? parcel->memory + parcel->used : NULL;
    parcel->used += (bytes + LINE - 1) / LINE * LINE;
    return at;
}

static void carry(const dp__parcel *parcel, char *here, void *there, size_t bytes, int ways)
{
    if (parcel->step == DP__PARCEL_PACK)
        memcpy(here, there, bytes);
    else if (parcel->step == DP__PARCEL_UNPACK && (ways & DP__PARCEL_OUT))
        memcpy(there, here, bytes);
}

void *dp__parcel_block(dp__parcel *parcel, const void *memory, size_t bytes, int ways)
{
    void *own =
        (void *)(uintptr_t)memory; /* Written only if it comes out, and then it is not const. */
    if (!memory || bytes == 0 || dp__heap_holds(memory, bytes))
        return own;
    char *here = dp__parcel_place(parcel, bytes);
    carry(parcel, here, own, bytes, ways);
    return here;
}

void *dp__parcel_items(dp__parcel *parcel, const void *base, size_t size, size_t stride, int ways)
{
    size_t items = parcel->end - parcel->begin;
    if (stride == 0)
        return dp__parcel_block(parcel, base, size, ways);
    uintptr_t own = (uintptr_t)base + parcel->begin * stride;
    if (!base || items == 0 || dp__heap_holds((void *)own, (items - 1) * stride + size))
        return (void *)(uintptr_t)base;
    char *here = dp__parcel_place(parcel, (items - 1) * stride + size);
    int unpacks = parcel->step == DP__PARCEL_UNPACK;
    size_t first = unpacks ? parcel->from - parcel->begin : 0;
    size_t last = unpacks ? parcel->ran - parcel->begin : items;
    if (first < last && here)
        carry(parcel, here + first * stride, (void *)(own + first * stride),
              (last - first - 1) * stride + size, ways);
    /* In numbers: there is no item 0 in the parcel. */
    return (void *)((uintptr_t)here - parcel->begin * stride);
}

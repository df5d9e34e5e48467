/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_LETTER_H
#define DP_API_LETTER_H

/* The description of a call that travels to a worker with every part of it, and what is done with
   it at both ends. */

#include "call.h"
#include "wire.h"

/* What the worker gets. Pointers lead into the parcel, into the shared heap, or to what the worker
   has had since it was forked. */
typedef struct dp__letter {
    dp__call call;
    dp__care care; /* If call.care is not NULL; without the retries, which are counted outside. */
    unsigned retries;
} dp__letter;

/* Values of dp__wire: pack.c and errand.c. */
void dp__letter_pack(const dp__batch *batch, dp__parcel *parcel, void *memory);
void dp__letter_run(const void *memory, dp__errand *errand);

/* A column that does not say how large its items are has nothing between them. */
static inline size_t dp__column_item(const dp_column *column)
{
    return column->size ? column->size : column->stride;
}

#endif

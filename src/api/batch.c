/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

_Thread_local dp__context dp__here;
const void *dp__home;

size_t dp__batch_run_alone(dp__batch *batch, const _Atomic(uint32_t) *halt, size_t first,
                           size_t step)
{
    size_t begin = first;
    dp__context saved = dp__here;
    dp__here = (dp__context){.batch = batch, .halt = halt};
    while (first < batch->n && !dp__batch_is_stopped(batch) && !dp__load_relaxed(halt)) {
        size_t end = batch->n - first < step ? batch->n : first + step;
        batch->range(batch, first, end);
        first = end;
    }
    if (first < batch->n)
        dp__store_relaxed(&batch->skipped, 1);
    dp__here = saved;
    return first - begin;
}

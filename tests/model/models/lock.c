/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/lock.h"

#include <stdlib.h>

#include "model.h"

/* Three threads, of which one only tries, count under a lock. */

static struct {
    dp__lock lock;
    int count, tries;
} * all;

static void count(void *unused)
{
    (void)unused;
    dp__lock_acquire(&all->lock);
    all->count++;
    dp__lock_release(&all->lock);
}

static void try_count(void *unused)
{
    (void)unused;
    if (!dp__lock_try(&all->lock))
        return;
    all->count++;
    all->tries++;
    dp__lock_release(&all->lock);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    int first = model_spawn(count, NULL), second = model_spawn(try_count, NULL);
    count(NULL);
    model_join(first);
    model_join(second);
    model_check(all->count == 2 + all->tries);
    free(all);
}

const model model_lock = {"lock", body, MODEL_STRICT};

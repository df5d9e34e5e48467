/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "model.h"
#include "platform/lock.h"

/* A thread holds a lock for so long that another one gives up spinning and sleeps on it. */

static struct {
    dp__lock lock;
    int count;
} * all;

static void count(void *unused)
{
    (void)unused;
    dp__lock_acquire(&all->lock);
    all->count++;
    dp__lock_release(&all->lock);
}

static void body(void)
{
    all = calloc(1, sizeof *all);
    dp__lock_acquire(&all->lock);
    int other = model_spawn(count, NULL);
    while (dp__load_relaxed(&all->lock.state) != 2)
        dp__pause();
    all->count++;
    dp__lock_release(&all->lock);
    count(NULL);
    model_join(other);
    model_check(all->count == 3);
    free(all);
}

const model model_lock_sleep = {"lock_sleep", body, MODEL_STRICT};

/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/threads/park.h"

#include <stdlib.h>

#include "model.h"

/* A thread parks until its condition holds; two others make it hold and unpark it. No token may be
   lost, and what was written before it must be seen after it. */

static struct {
    dp__parker parker;
    _Atomic(int) left;
    int data[2];
} * all;

static void give(void *argument)
{
    int *mine = argument;
    *mine = 1;
    dp__fetch_sub_acq_rel(&all->left, 1);
    dp__unpark(&all->parker);
}

/* The number alone tells when to go on; what the token has carried is read after it. */
static void body(void)
{
    all = calloc(1, sizeof *all);
    dp__store_relaxed(&all->left, 2);
    int first = model_spawn(give, &all->data[0]), second = model_spawn(give, &all->data[1]);
    while (dp__load_relaxed(&all->left) > 0)
        dp__park(&all->parker, INT64_MAX);
    model_join(first);
    model_join(second);
    model_check(all->data[0] + all->data[1] == 2);
    free(all);
}

const model model_park = {"park", body, MODEL_STRICT};

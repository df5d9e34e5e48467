/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the place of dp_pool_create() in tests of the process engine: the linker leads their calls
 * here. Making a pool forks.
 */
#include <dp/pool.h>

#include "support/world.h"

int __real_dp_pool_create(dp_pool **pool, const dp_pool_options *options);
int __wrap_dp_pool_create(dp_pool **pool, const dp_pool_options *options);

typedef struct creation {
    dp_pool **pool;
    const dp_pool_options *options;
    int code;
} creation;

static void create(void *context)
{
    creation *self = context;
    self->code = __real_dp_pool_create(self->pool, self->options);
}

int __wrap_dp_pool_create(dp_pool **pool, const dp_pool_options *options)
{
    creation self = {pool, options, 0};
    world_outside(create, &self);
    return self.code;
}

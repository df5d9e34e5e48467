/* SPDX-License-Identifier: Apache-2.0 */
/* A library that module.c loads. It is built twice: the builds differ, and so do their IDs. */
#include <dp/start.h>

int plugin_apply(void *result, const void *item, void *context);
int plugin_unnamed(void *result, const void *item, void *context);

static int offset = 1000;

/* So that the functions lie elsewhere in the other build. */
#if PLUGIN_BUILD == 2
int plugin_other(int a);
int plugin_other(int a)
{
    return a * offset;
}
#endif

int plugin_apply(void *result, const void *item, void *context)
{
    (void)context;
    *(int *)result = *(const int *)item + offset * PLUGIN_BUILD;
    return 0;
}

int plugin_unnamed(void *result, const void *item, void *context)
{
    return plugin_apply(result, item, context);
}

DP_REGISTER(plugin_apply)

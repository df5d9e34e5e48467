/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "iter_internal.h"
#include "limiter_internal.h"
#include "remote.h"
#include "verb.h"

/* Lazy maps: how they are made and what they are made of. What they do is in iter.c. */

/* Of a buffer for an item; enough for any type without a wish of its own. */
#define ALIGN ((size_t)16)

/* What an adaptive chunk may have at most if no window is given: items, and bytes of items and
   results, unless one item alone has more. */
#define MOST_ITEMS ((size_t)64)
#define MOST_BYTES ((size_t)65536)

static size_t aligned(size_t size)
{
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static int overflows(size_t n, size_t size)
{
    return size > 0 && n > SIZE_MAX / size;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many items an adaptive chunk may have. */
static size_t largest(const dp_iter *it, size_t window, size_t tasks)
{
    size_t bytes = it->own_in + it->out_size, most = MOST_ITEMS;
    if (window > 0)
        most = window / tasks;
    else if (bytes > MOST_BYTES / MOST_ITEMS)
        most = MOST_BYTES / bytes;
    return most > 0 ? most : 1;
}

/* How many chunks of how many items. 0 or DP_EOVERFLOW. */
static int cut_window(dp_iter *it, const dp_options *options)
{
    size_t n = it->source.next ? SIZE_MAX : it->source.n > 0 ? it->source.n : 1;
    size_t window = options->window, size = options->chunk;
    size_t tasks = 2 * (size_t)it->pool->engine->workers(it->pool->state);
    if (it->pool->engine->runs_at_once)
        window = size = 1; /* Nothing would be gained by computing before it is asked for. */
    it->is_adaptive = size == 0;
    /* No more than there are. */
    size = smaller(size > 0 ? size : largest(it, window, tasks), n);
    if (window == 0 && overflows(tasks, size))
        return DP_EOVERFLOW;
    if (window == 0)
        window = tasks * size;
    else if (it->is_adaptive)
        tasks = window;
    size = smaller(size, window);
    if (!it->is_adaptive) {
        tasks = window / size;
        window = tasks * size;
    }
    it->largest = size;
    dp__store_relaxed(&it->size, it->is_adaptive ? 1 : size);
    it->room = it->nslots = smaller(window, n);
    it->nchunks = smaller(tasks, it->nslots);
    return 0;
}

/* All memory of slots and chunks. 0, DP_EOVERFLOW or DP_ENOMEM. */
static int make_slots(dp_iter *it)
{
    const size_t most = SIZE_MAX / 8 - ALIGN;
    /* Bounded one by one, so that the sum cannot overflow either. */
    if (it->own_in > most || it->out_size > most)
        return DP_EOVERFLOW;
    it->slot_size = DP__SLOT_HEAD + it->own_in + aligned(it->out_size);
    if (overflows(it->nslots, it->slot_size) || overflows(it->nchunks, sizeof(dp__chunk)))
        return DP_EOVERFLOW;
    it->nchunks++;
    it->memory = malloc(it->nslots * it->slot_size);
    it->chunks = calloc(it->nchunks, sizeof *it->chunks);
    if (!it->memory || !it->chunks)
        return DP_ENOMEM;
    for (size_t i = it->nchunks; i-- > 0;) {
        it->chunks[i].iter = it;
        dp__iter_set_unused(it, &it->chunks[i]);
    }
    return 0;
}

void dp__iter_end_carrier(dp_iter *it)
{
    dp__carrier *carrier = it->remote.carrier;
    if (carrier && carrier->end)
        carrier->end(carrier);
    it->remote.carrier = NULL;
}

/* One for all items, which begins now. 0, or the code with which the map is refused. */
static int begin_carrier(dp_iter *it)
{
    const dp__engine *engine = it->pool->engine;
    size_t most = it->source.next ? SIZE_MAX : it->source.n;
    if (!engine->carrier || it->source_ended)
        return 0;
    dp__carrier **carrier = &it->remote.carrier;
    int code = engine->carrier(it->pool->state, most, 1, carrier);
    return code || !(*carrier)->begin ? code : (*carrier)->begin(*carrier);
}

void dp__iter_free(dp_iter *it)
{
    dp__iter_end_carrier(it);
    for (size_t i = 0; it->chunks && i < it->nchunks; i++) {
        /* A future that the engine has never had is no business of the engine's. */
        if (it->chunks[i].is_accepted)
            dp_future_release(it->chunks[i].future);
        else
            dp__future_discard(it->chunks[i].future);
    }
    it->pool->engine->release(it->pool->state);
    dp__pool_release(it->pool);
    dp__config_release(it->config);
    dp__limiter_release(it->limiter);
    free(it->chunks);
    free(it->memory);
    free(it);
}

static int check(dp_map_fn f, const dp_source *source, size_t out_size, const dp_options *options)
{
    if (!f || !source || (source->next && (source->items || source->n > 0)))
        return DP_EINVAL;
    if (!source->next && !source->items && source->n > 0 && source->item_size > 0)
        return DP_EINVAL;
    if ((unsigned)options->on_error > DP_ERRORS_COLLECT || options->status ||
        options->priority < DP_PRIORITY_LOW || options->priority > DP_PRIORITY_HIGH)
        return DP_EINVAL;
    if (options->journal || options->narrays > 0 || dp__care_wanted(options, 1) < 0)
        return DP_EINVAL;
    if (options->limiter && options->limiter->generation != dp__fork_generation())
        return DP_EFORKED;
    if (source->item_size > SIZE_MAX - ALIGN || out_size > SIZE_MAX - ALIGN ||
        (!source->next && overflows(source->n, source->item_size)))
        return DP_EOVERFLOW;
    return 0;
}

/* Whether the workers of the pool can run an item. */
static int check_item(dp_pool *pool, dp_map_fn f, const dp_source *source,
                      const dp_options *options)
{
    dp__call one;
    dp__call_begin(&one, dp__call_map_range, dp__call_map_item, 1, NULL);
    memset(&one.as.map, 0, sizeof one.as.map);
    one.cargo = &dp__cargo_map;
    one.items = 1;
    one.as.map.f = f;
    one.as.map.in = source->items;
    one.as.map.in_size = source->item_size;
    one.context = options->context;
    return dp__remote_check(&one, options, pool->engine, pool->state);
}

static int create(dp_pool *pool, dp_map_fn f, const dp_source *source, size_t out_size,
                  const dp_options *options, int ordered, dp_iter **iter)
{
    static const dp_options defaults;
    if (!iter)
        return DP_EINVAL;
    *iter = NULL;
    if (!options)
        options = &defaults;
    int code = check(f, source, out_size, options);
    if (code == 0)
        code = dp__pool_resolve(pool, &pool);
    if (code == 0 && dp__load_relaxed(&pool->closed))
        code = DP_ECLOSED;
    if (code == 0)
        code = check_item(pool, f, source, options);
    if (code)
        return code;
    dp_iter *made = calloc(1, sizeof *made);
    if (!made)
        return DP_ENOMEM;
    /* Both: the pool may end, on another thread too, while results are still taken. */
    dp__pool_retain(pool);
    pool->engine->hold(pool->state);
    made->pool = pool;
    made->generation = pool->generation;
    made->f = f;
    made->source = *source;
    made->context = options->context;
    made->remote.context_size = options->context_size;
    made->config = dp__config_retain(dp__config_here());
    made->on_error = options->on_error;
    made->priority = options->priority;
    made->limiter = dp__limiter_retain(options->limiter);
    made->ordered = ordered;
    made->out_size = out_size;
    if (source->next)
        made->own_in = aligned(source->item_size);
    else
        made->in_stride = source->items ? source->item_size : 0;
    made->source_ended = !source->next && source->n == 0;
    made->error.item = DP_NO_ITEM;
    dp__store_relaxed(&made->limit, SIZE_MAX);
    if (dp__care_wanted(options, 1)) {
        made->care = &made->own_care;
        dp__care_start(made->care, options, source->next ? DP_NO_TOTAL : source->n);
    }
    if ((code = cut_window(made, options)) || (code = make_slots(made)) ||
        (code = begin_carrier(made))) {
        dp__iter_free(made);
        return code;
    }
    /* In use meanwhile, for a source that finds the iterator. If memory is short, the first call of
       dp_iter_next() tries again. */
    dp__store_relaxed(&made->in_use, 1);
    *iter = made;
    if (!pool->engine->runs_at_once)
        dp__iter_fill(made);
    /* Release: pairs with the acquire of whoever uses it next. */
    dp__store_release(&made->in_use, 0);
    return 0;
}

int dp_pool_imap(dp_pool *pool, dp_map_fn f, const dp_source *source, size_t out_size,
                 const dp_options *options, dp_iter **iter)
{
    return create(pool, f, source, out_size, options, 1, iter);
}

int dp_pool_imap_unordered(dp_pool *pool, dp_map_fn f, const dp_source *source, size_t out_size,
                           const dp_options *options, dp_iter **iter)
{
    return create(pool, f, source, out_size, options, 0, iter);
}

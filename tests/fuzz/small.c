/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no pool, or no more than one short call; and arguments that are wrong. */
#include <dp/typed.h>
#include <math.h>

#include "machine.h"

enum { MANY = 64 };

/* ---- Parts ---- */

static void check_parts(size_t n, size_t k, dp_partition_rule rule)
{
    size_t at = 0, longest = (n + k - 1) / k;
    for (size_t i = 0; i < k; i++) {
        dp_part part;
        CHECK_EQUAL(dp_partition(n, k, i, rule, &part), 0);
        CHECK_EQUAL(part.begin, at);
        CHECK(part.end >= part.begin && part.end - part.begin <= longest);
        if (rule == DP_PARTITION_BALANCED)
            CHECK(part.end - part.begin >= n / k);
        at = part.end;
    }
    CHECK_EQUAL(at, n);
}

static void check_weighted(size_t n, size_t k, unsigned seed)
{
    double weights[MANY], all = 0, heaviest = 0;
    dp_part parts[16];
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        weights[i] = (double)(mix(seed, i) % 8);
        all += weights[i];
        heaviest = fmax(heaviest, weights[i]);
    }
    CHECK_EQUAL(dp_partition_weighted(weights, n, k, parts), 0);
    for (size_t i = 0; i < k; i++) {
        double weight = 0;
        CHECK_EQUAL(parts[i].begin, at);
        for (; at < parts[i].end; at++)
            weight += weights[at];
        CHECK(weight <= all / (double)k + heaviest + 1e-9);
    }
    CHECK_EQUAL(at, n);
}

/* There and back. */
static void check_scatter(size_t n, size_t k, unsigned stride)
{
    uint16_t from[MANY * 4], to[MANY * 4] = {0};
    dp_view whole = {from, (stride + 1) * sizeof from[0], n}, parts[16];
    dp_view other = {to, (stride + 1) * sizeof to[0], n};
    for (size_t i = 0; i < MANY * 4; i++)
        from[i] = (uint16_t)(i + 1);
    CHECK_EQUAL(dp_scatter(&whole, k, DP_PARTITION_BALANCED, parts), 0);
    for (size_t i = 0; i < k; i++) {
        dp_part part;
        dp_view same;
        CHECK_EQUAL(dp_partition(n, k, i, DP_PARTITION_BALANCED, &part), 0);
        CHECK_EQUAL(dp_view_slice(&whole, part, &same), 0);
        CHECK(same.n == parts[i].n && (same.n == 0 || same.base == parts[i].base));
    }
    CHECK_EQUAL(dp_gather(parts, k, sizeof from[0], &other), 0);
    for (size_t i = 0; i < n * (stride + 1); i++)
        CHECK_EQUAL(to[i], i % (stride + 1) == 0 ? from[i] : 0);
}

static void partition(const fuzz_step *s)
{
    size_t n = step_size(s), k = 1 + s->extra % 16;
    check_parts(n, k, (dp_partition_rule)(s->slot & 1));
    check_weighted(n > MANY ? MANY : n, k, s->fail);
    check_scatter(n > MANY ? MANY : n, k, s->slot >> 2);
}

/* ---- Random numbers ---- */

static void random_numbers(const fuzz_step *s)
{
    dp_random a = dp_random_at(s->fail, s->extra), b = a, c = dp_random_split(&a, s->slot), none;
    uint64_t bound = (uint64_t)1 << (s->extra & 63) | 5, words[7];
    double doubles[5], normals[5];
    dp_random_skip(&a, s->slot);
    for (unsigned i = 0; i < s->slot; i++)
        (void)dp_random_u32(&b);
    CHECK_EQUAL(dp_random_u32(&a), dp_random_u32(&b));
    CHECK_EQUAL(dp_random_fill_u64(&a, words, 7), 0);
    for (int i = 0; i < 7; i++)
        CHECK_EQUAL(words[i], dp_random_u64(&b));
    CHECK(dp_random_below(&c, bound) < bound);
    CHECK_EQUAL(dp_random_fill_double(&a, doubles, 5), 0);
    CHECK_EQUAL(dp_random_fill_normal(&a, normals, 5), 0);
    for (int i = 0; i < 5; i++)
        CHECK(doubles[i] == dp_random_double(&b) && doubles[i] >= 0 && doubles[i] < 1);
    for (int i = 0; i < 5; i++)
        CHECK(normals[i] == dp_random_normal(&b) && fabs(normals[i]) < 9.2);
    CHECK_EQUAL(dp_item_random(&none), DP_ENOTSUP);
}

/* ---- Short calls ---- */

static int64_t plus(int64_t a, int64_t b)
{
    return a + b;
}

static int64_t twice(int64_t a)
{
    return 2 * a;
}

DP_MAP_DEFINE(twice_all, int64_t, twice, int64_t)
DP_REDUCE_DEFINE(sum_all, int64_t, plus, 0)
DP_SCAN_DEFINE(running_sums, int64_t, plus, 0)

static void typed(pool_life *life, const fuzz_step *s, closedness c)
{
    int64_t in[300], out[300], sum = 0, total = -1;
    size_t n = step_size(s) % 300;
    for (size_t i = 0; i < n; i++)
        in[i] = (int64_t)i * s->fail;
    int code = twice_all(life->pool, in, out, n, NULL);
    if (was_refused(c, code) || code == DP_ECANCELLED)
        return;
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(out[i], 2 * in[i]);
        sum += in[i];
    }
    if (sum_all(life->pool, in, n, &total, NULL) == 0)
        CHECK_EQUAL(total, sum);
    if (running_sums(life->pool, in, in, n, DP_SCAN_EXCLUSIVE, NULL) == 0 && n > 0)
        CHECK_EQUAL(in[n - 1], sum - out[n - 1] / 2);
}

/* Buffers of one of the four types, whose sums and means are whole numbers that all of them hold.
 */
typedef union buffer {
    float f[MANY];
    double d[MANY];
    int32_t i[MANY];
    int64_t l[MANY];
} buffer;

static void put(buffer *b, dp_type type, size_t i, long value)
{
    if (type == DP_TYPE_FLOAT)
        b->f[i] = (float)value;
    else if (type == DP_TYPE_DOUBLE)
        b->d[i] = (double)value;
    else if (type == DP_TYPE_INT32)
        b->i[i] = (int32_t)value;
    else
        b->l[i] = value;
}

static long get(const buffer *b, dp_type type, size_t i)
{
    return type == DP_TYPE_FLOAT    ? (long)b->f[i]
           : type == DP_TYPE_DOUBLE ? (long)b->d[i]
           : type == DP_TYPE_INT32  ? b->i[i]
                                    : (long)b->l[i];
}

static void allreduce(pool_life *life, const fuzz_step *s, closedness c)
{
    static buffer all[MAX_THREADS][4];
    buffer *own = all[me - 1];
    void *buffers[4] = {&own[0], &own[1], &own[2], &own[3]};
    size_t n = step_size(s) > MANY ? MANY : step_size(s), k = 1 + (s->extra & 3);
    dp_type type = (dp_type)(s->extra >> 2 & 3);
    dp_op op = s->extra & 16 ? DP_OP_MEAN : DP_OP_SUM;
    for (size_t b = 0; b < k; b++)
        for (size_t i = 0; i < n; i++)
            put(&own[b], type, i, (long)(b * 2 * i));
    int code = dp_allreduce(life->pool, op, type, buffers, k, n);
    int did = !was_refused(c, code) && code == 0;
    for (size_t b = 0; b < k && code != DP_ECANCELLED; b++)
        for (size_t i = 0; i < n; i++) {
            size_t sum = i * k * (k - 1), mean = i * (k - 1);
            CHECK_EQUAL(get(&own[b], type, i), !did ? b * 2 * i : op == DP_OP_SUM ? sum : mean);
        }
}

DP_TASK(uint64_t, small_fib, (unsigned, n))
{
    if (n < 2)
        return n;
    DP_FORK(small_fib, n - 1);
    DP_POLL();
    uint64_t b = DP_CALL(small_fib, n - 2);
    return b + DP_JOIN(small_fib);
}

static void fork_join(pool_life *life, const fuzz_step *s, closedness c)
{
    static const uint64_t fib[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610};
    uint64_t result = 7;
    unsigned n = s->extra & 15;
    int code = DP_RUN_INTO(&result, life->pool, small_fib, n);
    int refused = was_refused(c, code);
    CHECK(refused || code == 0);
    CHECK_EQUAL(result, refused ? 7 : fib[n]);
    CHECK_EQUAL(DP_RUN(life->pool, small_fib, n), fib[n]); /* even when it is closed */
}

static void with_pool(player *p, const fuzz_step *s)
{
    unsigned slot = s->pool == MAX_POOLS && p->pushed ? p->config_pool[p->pushed - 1] : s->pool;
    pool_life *life = enter(slot);
    if (!life)
        return;
    closedness c = look_closed(life);
    if (s->op == OP_typed)
        typed(life, s, c);
    else if (s->op == OP_allreduce)
        allreduce(life, s, c);
    else
        fork_join(life, s, c);
    leave(slot);
}

/* ---- Words ---- */

static void words(const fuzz_step *s)
{
    char line[128];
    dp_progress progress = {.done = step_size(s),
                            .failed = s->slot,
                            .total = s->extra & 1 ? DP_NO_TOTAL : 3000,
                            .seconds = s->fail,
                            .rate = s->extra,
                            .eta = (double)s->chunk - 1,
                            .finished = s->at & 1};
    size_t size = 1 + s->extra % sizeof line;
    int code =
        dp_progress_format(&progress, s->slot & 1 ? "label" : NULL, 20 + s->fail % 100, line, size);
    CHECK(code >= 0 && (size_t)code < size && strlen(line) == (size_t)code);
    for (int e = -40; e < 3; e++) {
        CHECK(dp_strerror(e)[0] && dp_errname(e)[0]);
        CHECK((strcmp(dp_errname(e), "DP_EUNKNOWN") == 0) == (e > 0 || e < DP_EUNSAFE));
    }
    dp_progress_bar(&progress, NULL);
    CHECK_EQUAL(dp_version(), DP_VERSION);
    CHECK(dp_version_string()[0]);
}

/* A channel gives what it was sent, in one process. */
static void messages(const fuzz_step *s)
{
    dp_channel *channel;
    unsigned char bytes[8];
    size_t capacity = 1u + (s->slot & 3), sent = 0, got;
    CHECK_EQUAL(dp_channel_create(&channel, capacity, sizeof bytes), 0);
    CHECK_EQUAL(dp_channel_join(channel, DP_CHANNEL_SENDER), 0);
    for (size_t i = 0; i <= capacity; i++) {
        memset(bytes, (int)i, sizeof bytes);
        int code = dp_channel_send(channel, bytes, (s->extra + i) % 9, 0);
        CHECK_EQUAL(code, i < capacity ? 0 : DP_ETIMEDOUT);
        sent += code == 0;
    }
    CHECK_EQUAL(dp_channel_count(channel), (long long)sent);
    CHECK_EQUAL(dp_channel_leave(channel, DP_CHANNEL_SENDER), 0);
    CHECK_EQUAL(dp_channel_close(channel), 0);
    for (size_t i = 0; i < sent; i++) {
        CHECK_EQUAL(dp_channel_receive(channel, bytes, sizeof bytes, &got, 0), 0);
        CHECK(got == (s->extra + i) % 9 && (got == 0 || bytes[got - 1] == i));
    }
    CHECK_EQUAL(dp_channel_receive(channel, bytes, sizeof bytes, &got, 0), DP_ECLOSED);
    dp_channel_destroy(channel);
}

/* Two blocks of one size are two; the second one is there as often as the first. */
static void shared_blocks(const fuzz_step *s)
{
    size_t size = (size_t)s->extra << (s->slot & 7);
    unsigned char *a = dp_shared_alloc(size), *b = dp_shared_alloc(size);
    CHECK(a && b && dp_shared_holds(a, size) && !dp_shared_holds(&size, sizeof size));
    for (size_t i = 0; i < size; i++)
        CHECK_EQUAL(a[i], 0);
    memset(a, 0xff, size);
    CHECK(size == 0 || (b[0] == 0 && b[size - 1] == 0));
    dp_shared_free(s->fail & 1 ? a : b);
    dp_shared_free(s->fail & 1 ? b : a);
    dp_shared_free(NULL);
}

/* What belongs into tasks, outside of them. */
static void outside(void)
{
    dp_blocking_begin();
    dp_blocking_end();
    CHECK_EQUAL(dp_cancelled(), 0);
    CHECK_EQUAL(dp_lane(), 0);
    CHECK_EQUAL(dp_sleep(0), 0);
    CHECK(!dp_worker_local(NULL));
    dp_cpu_limits limits;
    CHECK_EQUAL(dp_cpu_limits_get(&limits), 0);
    CHECK_EQUAL(limits.env_workers, 2);
    CHECK_EQUAL(dp_cpu_count(DP_CPU_LOGICAL), 2);
}

/* ---- What is wrong ---- */

static _Atomic(int) was_called;

static int never(size_t begin, size_t end, void *context)
{
    (void)begin;
    (void)end;
    (void)context;
    was_called = 1;
    return 0;
}

static int never_item(void *out, const void *in, void *context)
{
    (void)out;
    (void)in;
    (void)context;
    was_called = 1;
    return 0;
}

static int never_fold(void *out, size_t begin, size_t end, void *context)
{
    (void)out;
    return never(begin, end, context);
}

static void never_combine(void *out, const void *other, void *context)
{
    (void)out;
    (void)never_item(NULL, other, context);
}

/* Options of which no verb takes any. */
static dp_options bad_options(unsigned which)
{
    switch (which % 7) {
    case 0:
        return (dp_options){.deadline = -1};
    case 1:
        return (dp_options){.run_timeout = NAN};
    case 2:
        return (dp_options){.on_error = (dp_error_policy)77};
    case 3:
        return (dp_options){.priority = (dp_priority)5};
    case 4:
        return (dp_options){.on_error = DP_ERRORS_COLLECT};
    case 5:
        return (dp_options){.deadline = NAN};
    default:
        return (dp_options){.run_timeout = -INFINITY};
    }
}

static void bad_option(dp_pool *pool, unsigned which)
{
    const uint64_t zero = 0;
    uint64_t sum;
    dp_error error = {.code = 7};
    dp_options o = bad_options(which);
    dp_future *f = (dp_future *)(uintptr_t)64;
    o.error = &error;
    CHECK_EQUAL(dp_pool_map(pool, never_item, NULL, 0, NULL, 0, 5, &o), DP_EINVAL);
    CHECK_EQUAL(error.code, DP_EINVAL);
    CHECK(error.item == DP_NO_ITEM && error.text);
    CHECK_EQUAL(dp_pool_for(pool, never, NULL, 0, 5, &o), DP_EINVAL);
    CHECK_EQUAL(dp_pool_for_async(pool, never, NULL, 0, 5, &o, &f), DP_EINVAL);
    CHECK(!f);
    CHECK_EQUAL(dp_pool_reduce(pool, never_fold, NULL, 0, 5, never_combine, &zero, &sum, 8, &o),
                DP_EINVAL);
    CHECK_EQUAL(
        dp_pool_scan_range(pool, never_fold, never_fold, NULL, 0, 5, never_combine, &zero, 8, &o),
        DP_EINVAL);
}

/* Options that these verbs have no use for. */
static void misplaced_option(dp_pool *pool, unsigned which)
{
    int status[5];
    dp_options all[] = {{.retries = 1}, {.seed = 1}, {.run_timeout = 1}, {.status = status}};
    dp_options *o = &all[which % 4];
    dp_future *f;
    dp_extent extent = {0, 2, 0};
    CHECK_EQUAL(dp_pool_for(pool, never, NULL, 0, 5, o), DP_EINVAL);
    CHECK_EQUAL(dp_pool_for_async(pool, never, NULL, 0, 5, o, &f), DP_EINVAL);
    CHECK_EQUAL(dp_pool_for_2d(pool, (dp_for_2d_fn)NULL, NULL, extent, extent, o), DP_EINVAL);
    dp_source source = {.n = 3};
    dp_iter *iter;
    all[0] = (dp_options){.status = status};
    CHECK_EQUAL(dp_pool_imap(pool, never_item, &source, 0, &all[0], &iter), DP_EINVAL);
    CHECK(!iter);
}

static void bad_arrays(dp_pool *pool)
{
    char c = 0;
    dp_future *f;
    dp_column column = {&c, 1, SIZE_MAX};
    dp_delayed delayed = {.f = NULL};
    CHECK_EQUAL(dp_pool_map(pool, NULL, &c, 1, &c, 1, 1, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_map(pool, never_item, NULL, 1, &c, 1, 1, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_map(pool, never_item, &c, 16, &c, 1, SIZE_MAX, NULL), DP_EOVERFLOW);
    CHECK_EQUAL(dp_pool_map_async(pool, never_item, &c, 1, &c, 16, SIZE_MAX / 2, NULL, &f),
                DP_EOVERFLOW);
    CHECK_EQUAL(dp_pool_map_async(pool, never_item, &c, 1, &c, 1, 1, NULL, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_starmap(pool, NULL, &column, 1, NULL, 0, 1, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_run(pool, &delayed, 1, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_run(pool, NULL, 1, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_apply(pool, NULL, NULL, 0, NULL, 0, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_apply_async(pool, never_item, NULL, 8, NULL, 0, NULL, &f), DP_EINVAL);
    CHECK_EQUAL(dp_pool_reduce(pool, never_fold, NULL, 0, 1, never_combine, &c, &c, 0, NULL),
                DP_EINVAL);
    CHECK_EQUAL(dp_pool_scan(pool, never_combine, NULL, &c, &c, 1, 1, &c, (dp_scan_kind)9, NULL),
                DP_EINVAL);
    CHECK_EQUAL(
        dp_pool_scan(pool, never_combine, NULL, NULL, &c, 1, 1, &c, DP_SCAN_INCLUSIVE, NULL),
        DP_EINVAL);
    dp_extent huge = {0, SIZE_MAX / 2, 1};
    CHECK_EQUAL(dp_pool_for_2d(pool, item_2d, NULL, huge, huge, NULL), DP_EOVERFLOW);
    CHECK_EQUAL(dp_allreduce(pool, (dp_op)9, DP_TYPE_INT32, NULL, 1, 0), DP_EINVAL);
    CHECK_EQUAL(dp_pool_stats(pool, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_join(pool, -1), DP_EINVAL);
    CHECK_EQUAL(dp_pool_resize(pool, -99999), DP_EINVAL);
}

static void bad_objects(const handle *h)
{
    size_t finished;
    dp_future *f = NULL;
    dp_error error;
    dp_pool *made = NULL;
    dp_pool_options options = {.workers = DP_MAX_WORKERS + 1};
    CHECK_EQUAL(dp_pool_create(NULL, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_pool_create(&made, &options), DP_EINVAL);
    options = (dp_pool_options){.engine = (dp_engine)99};
    CHECK_EQUAL(dp_pool_create(&made, &options), DP_EINVAL);
    options = (dp_pool_options){.engine = DP_ENGINE_PROCESSES, .require = DP_REQUIRE_SHARED_MEMORY};
    CHECK_EQUAL(dp_pool_create(&made, &options), DP_EINVAL);
    CHECK(!made);
    CHECK_EQUAL(dp_future_wait(NULL, 0), DP_EINVAL);
    CHECK_EQUAL(dp_future_cancel(NULL), DP_EINVAL);
    CHECK_EQUAL(dp_future_error(NULL, &error), DP_EINVAL);
    CHECK_EQUAL(dp_future_status(NULL), DP_FUTURE_CANCELLED);
    CHECK_EQUAL(dp_future_on_done(NULL, NULL, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_wait(&f, 1, DP_WAIT_ALL, 0, NULL, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_wait(NULL, 0, (dp_wait_mode)9, 0, &finished, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_completed_add(NULL, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_completed_next(m.set, -1, &f), DP_EINVAL);
    CHECK_EQUAL(dp_limiter_usage(NULL, NULL, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_config_push(NULL), DP_EINVAL);
    CHECK_EQUAL(dp_config_get(NULL), DP_EINVAL);
    CHECK_EQUAL(dp_iter_next(NULL, 0, NULL, NULL), DP_EINVAL);
    CHECK_EQUAL(dp_iter_destroy(NULL), 0);
    CHECK_EQUAL(dp_sleep(-1), DP_EINVAL);
    if (h->future) {
        CHECK_EQUAL(dp_future_wait(h->future, NAN), DP_EINVAL);
        CHECK_EQUAL(dp_future_then(h->future, NULL, NULL, NULL, 0, NULL, &f), DP_EINVAL);
        CHECK_EQUAL(dp_future_on_done(h->future, NULL, NULL), DP_EINVAL);
    }
}

static void bad(player *p, const fuzz_step *s)
{
    pool_life *life = enter(s->pool);
    if (life) {
        bad_option(life->pool, s->extra);
        misplaced_option(life->pool, s->extra);
        bad_arrays(life->pool);
        CHECK_EQUAL(was_called, 0);
        leave(s->pool);
    }
    bad_objects(&p->futures[s->slot]);
}

int small_op(player *p, const fuzz_step *s)
{
    switch ((fuzz_op)s->op) {
    case OP_partition:
        partition(s);
        return 1;
    case OP_random:
        random_numbers(s);
        return 1;
    case OP_words:
        words(s);
        shared_blocks(s);
        messages(s);
        return 1;
    case OP_outside:
        outside();
        return 1;
    case OP_bad:
        bad(p, s);
        return 1;
    case OP_process:
        fork_process(s->pool, p, s->extra);
        return 1;
    case OP_typed:
    case OP_allreduce:
    case OP_fork_join:
        with_pool(p, s);
        return 1;
    default:
        return 0;
    }
}

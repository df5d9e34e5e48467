/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TASK_H
#define DP_TASK_H

/**
 * @file task.h
 * Fork/join: typed tasks for recursive work, at the cost of an ordinary call.
 *
 *     DP_TASK(int, fib, (int, n))
 *     {
 *         if (n < 2)
 *             return n;
 *         DP_FORK(fib, n - 1);
 *         int b = DP_CALL(fib, n - 2);
 *         int a = DP_JOIN(fib);
 *         return a + b;
 *     }
 *
 *     int r = DP_RUN(NULL, fib, 35);
 *
 * The rules:
 *  - Joins match forks as brackets do: last forked, first joined, and every fork is joined before
 *    the task returns.
 *  - DP_FORK, DP_CALL, DP_JOIN and DP_POLL stand inside a task; DP_RUN stands anywhere.
 *  - Up to eight arguments; arguments and result take at most DP_TASK_DATA bytes each. Pass a
 *    pointer to anything larger; what it points to must live until the join.
 *  - A worker has room for some 260 000 forks that were not joined, and takes more memory beyond.
 * If there is none, the process ends with a message, as it does when a stack is full.
 *
 * How it is fast: a fork writes a function and its arguments into the next 64-byte slot of an array
 * that belongs to the worker, and compares the slot with a limit; a join that nobody interfered
 * with compares once more and calls the function directly, so the compiler may inline it. No atomic
 * read-modify-write and no fence is on that path. The address of the next free slot travels through
 * the calls as the hidden parameter `dp_head`. Thieves that want work lower the one limit and raise
 * the other; then, and only then, the owner makes a part of its slots public. The scheme follows
 * the split deque of Lace (van Dijk and van de Pol, 2014); src/engines/threads/deque.md has the
 * whole protocol.
 */

#include <dp/atomic.h>
#include <dp/base.h>
#include <dp/pool.h>

/** Bytes for the arguments, and for the result, of one task. */
#define DP_TASK_DATA 48

/** Size and alignment of the memory that holds a worker's slots, a power of two. */
#define DP_TASK_REGION ((uintptr_t)1 << 24)

typedef struct dp_task_slot dp_task_slot;

/** One forked task. 64 bytes. The members are private. */
struct dp_task_slot {
    void (*run)(dp_task_slot *self, dp_task_slot *head); /**< Runs it on another worker. */
    DP__ATOMIC(uintptr_t) state;                         /**< Used only once it is public. */
    union {
        unsigned char bytes[DP_TASK_DATA];
        void *align_pointer;
        double align_double;
        long long align_integer;
    } data; /**< The arguments; later the result. */
};

/**
 * What fork and join read: the start of each region of slots. The members are private.
 * The owner reads this line at every fork and join; a thief writes it only to ask for work.
 */
typedef struct dp_task_deque {
    DP__ATOMIC(dp_task_slot *) fork_limit; /**< Forks at or above it take the slow path. */
    DP__ATOMIC(dp_task_slot *) join_limit; /**< Joins below it take the slow path. */
    dp_task_slot *head;                    /**< First free slot, for calls made without dp_head. */
} dp_task_deque;

/** What a join found. */
typedef struct dp_task_joined {
    dp_task_slot *slot; /**< Where the task's data is; also the new head. */
    int done;           /**< 0: run it now from `slot`. 1: it has run, the result is in `slot`. */
} dp_task_joined;

DP_BEGIN_DECLS

/** The rare half of a fork: publishes slots, or continues in a fresh region when this is full. */
DP_API dp_task_slot *dp_task_fork_slow(dp_task_slot *slot);

/** The rare half of a join: takes the task back from thieves, or waits for the one that has it. */
DP_API dp_task_joined dp_task_join_slow(dp_task_slot *slot);

/** The rare half of a poll. */
DP_API void dp_task_poll_slow(dp_task_slot *head);

/**
 * Calls root(head, frame) on the calling thread as a worker of the pool.
 *
 * @param pool   NULL for the default pool.
 * @param root   The root of the computation.
 * @param frame  Passed on.
 * @return 0; or #DP_ECLOSED, #DP_EFORKED, #DP_ENOMEM, and then `root` was not called.
 */
DP_API int dp_task_run(dp_pool *pool, void (*root)(dp_task_slot *head, void *frame), void *frame);

/**
 * dp_task_run() for DP_RUN(), which has no way to return a code: on a closed pool it runs the root
 * on the calling thread, with what help there still is, and when no worker can be had at all it
 * ends the process with a message.
 */
DP_API void dp_task_must_run(dp_pool *pool, void (*root)(dp_task_slot *head, void *frame),
                             void *frame);

DP_END_DECLS

/*
 * The fast half. The same source is compiled once more into the library with DP_TASK_INLINE defined
 * to give real symbols, so that other languages can link fork and join.
 */
#ifndef DP_TASK_INLINE
#    define DP_TASK_INLINE static inline DP__UNUSED
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Forks the task whose arguments stand in head->data. Returns the new head. About 1 ns. */
DP_TASK_INLINE dp_task_slot *dp_task_fork(dp_task_slot *head,
                                          void (*run)(dp_task_slot *self, dp_task_slot *head))
{
    dp_task_deque *deque = (dp_task_deque *)((uintptr_t)head & ~(DP_TASK_REGION - 1));
    head->run = run;
    deque->head = head + 1;
    if (DP__UNLIKELY(head >= DP__LOAD_RELAXED(&deque->fork_limit)))
        return dp_task_fork_slow(head);
    return head + 1;
}

/** Joins the newest fork that was not joined yet. About 1 ns if no thief interfered. */
DP_TASK_INLINE dp_task_joined dp_task_join(dp_task_slot *head)
{
    dp_task_joined joined;
    dp_task_slot *slot = head - 1;
    dp_task_deque *deque = (dp_task_deque *)((uintptr_t)slot & ~(DP_TASK_REGION - 1));
    if (DP__UNLIKELY(slot < DP__LOAD_RELAXED(&deque->join_limit)))
        return dp_task_join_slow(slot);
    deque->head = slot;
    joined.slot = slot;
    joined.done = 0;
    return joined;
}

/** Answers thieves that are waiting for work. For long stretches without a fork. */
DP_TASK_INLINE void dp_task_poll(dp_task_slot *head)
{
    dp_task_deque *deque = (dp_task_deque *)((uintptr_t)head & ~(DP_TASK_REGION - 1));
    if (DP__UNLIKELY(head >= DP__LOAD_RELAXED(&deque->fork_limit)))
        dp_task_poll_slow(head);
}

#ifdef __cplusplus
}
#endif

/* ---- The macros ---- */

/**
 * Defines a task: DP_TASK(result type, name, (type, argument)...) followed by its body.
 *
 * DP_TASK(int, fib, (int, n)) expands to the types and functions
 *
 *     struct fib_dp_args { int n; };
 *     union fib_dp_frame { struct fib_dp_args args; int result; };
 *     static int fib_dp_body(dp_task_slot *dp_head, int n);
 *     static void fib_dp_run(dp_task_slot *self, dp_task_slot *head);     a thief calls it
 *     static inline void fib_dp_fork(dp_task_slot **head, int n);
 *     static inline int fib_dp_join(dp_task_slot **head);
 *     static inline int fib_dp_start(int *code, dp_pool *pool, int n);
 *     static int fib_dp_body(dp_task_slot *dp_head, int n)                your body follows
 */
#define DP_TASK(...)                   \
    DP__TASK_WRAP(static, __VA_ARGS__) \
    static DP__TASK_HEAD(__VA_ARGS__)

/** As #DP_TASK for a task without a result: DP_TASK_VOID(name, (type, argument)...) { body } */
#define DP_TASK_VOID(...)               \
    DP__VTASK_WRAP(static, __VA_ARGS__) \
    static DP__VTASK_HEAD(__VA_ARGS__)

/** Declares a task for a header, or before its body for mutual recursion; ends with a semicolon. */
#define DP_TASK_DECLARE(...)           \
    DP__TASK_WRAP(extern, __VA_ARGS__) \
    extern DP__TASK_HEAD(__VA_ARGS__)

/** The body of a task that was declared with #DP_TASK_DECLARE. */
#define DP_TASK_DEFINE(...) DP__TASK_HEAD(__VA_ARGS__)

/** #DP_TASK_DECLARE without a result. */
#define DP_TASK_VOID_DECLARE(...)       \
    DP__VTASK_WRAP(extern, __VA_ARGS__) \
    extern DP__VTASK_HEAD(__VA_ARGS__)

/** #DP_TASK_DEFINE without a result. */
#define DP_TASK_VOID_DEFINE(...) DP__VTASK_HEAD(__VA_ARGS__)

/** DP_FORK(name, arguments...): lets another worker run the task until DP_JOIN. A statement. */
#define DP_FORK(...) DP__PICK(DP__FORK_, __VA_ARGS__)(__VA_ARGS__)

/** DP_JOIN(name): the result of the newest unjoined fork, which must be of this task. */
#define DP_JOIN(name) name##_dp_join(&dp_head)

/** DP_CALL(name, arguments...): calls the task as a plain function. */
#define DP_CALL(...) DP__PICK(DP__CALL_, __VA_ARGS__)(__VA_ARGS__)

/** Answers waiting thieves; for long stretches of a task without a fork. */
#define DP_POLL() dp_task_poll(dp_head)

/**
 * DP_RUN(pool, name, arguments...): runs the task on the pool, the calling thread included, and
 * gives its result. On a closed pool it runs on the calling thread, helped by threads that have not
 * ended yet; once the pool was joined, alone. If not even memory for that can be had, or the pool
 * was made before a fork of the process, there is no result to give and the process ends with a
 * message; DP_RUN_INTO() reports every such case instead.
 */
#define DP_RUN(...) DP__PICK2(DP__RUN_, __VA_ARGS__)(__VA_ARGS__)

/**
 * DP_RUN_INTO(&result, pool, name, arguments...): as DP_RUN() for a task with a result. Gives 0, or
 * #DP_ECLOSED, #DP_EFORKED, #DP_ENOMEM; the result is written only on 0.
 */
#define DP_RUN_INTO(...) DP__PICK3(DP__INTO_, __VA_ARGS__)(__VA_ARGS__)

/* How many arguments follow the name: 0 or some. PICK2 and PICK3 skip further leading arguments. */
#define DP__CAT(a, b)                                       DP__CAT_(a, b)
#define DP__CAT_(a, b)                                      a##b
#define DP__COUNT(...)                                      DP__COUNT_(__VA_ARGS__, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, )
#define DP__COUNT_(a, b, c, d, e, f, g, h, i, j, k, n, ...) n
#define DP__SOME(...)                                       DP__COUNT_(__VA_ARGS__, N, N, N, N, N, N, N, N, N, N, 0, 0, )
#define DP__SOME2(...)                                      DP__COUNT_(__VA_ARGS__, N, N, N, N, N, N, N, N, N, 0, 0, 0, )
#define DP__SOME3(...)                                      DP__COUNT_(__VA_ARGS__, N, N, N, N, N, N, N, N, 0, 0, 0, 0, )
#define DP__PICK(prefix, ...)                               DP__CAT(prefix, DP__SOME(__VA_ARGS__))
#define DP__PICK2(prefix, ...)                              DP__CAT(prefix, DP__SOME2(__VA_ARGS__))
#define DP__PICK3(prefix, ...)                              DP__CAT(prefix, DP__SOME3(__VA_ARGS__))

#define DP__FORK_0(name)                                    name##_dp_fork(&dp_head)
#define DP__FORK_N(name, ...)                               name##_dp_fork(&dp_head, __VA_ARGS__)
#define DP__CALL_0(name)                                    name##_dp_body(dp_head)
#define DP__CALL_N(name, ...)                               name##_dp_body(dp_head, __VA_ARGS__)
#define DP__RUN_0(pool, name)                               name##_dp_start(pool)
#define DP__RUN_N(pool, name, ...)                          name##_dp_start(pool, __VA_ARGS__)
#define DP__INTO_0(result, pool, name)                      name##_dp_into(result, pool)
#define DP__INTO_N(result, pool, name, ...)                 name##_dp_into(result, pool, __VA_ARGS__)

/* DP__EACH(m, name, pairs...) writes m for every (type, argument) pair; the name is skipped. */
#define DP__EACH(m, ...) DP__CAT(DP__EACH_, DP__COUNT(__VA_ARGS__))(m, __VA_ARGS__)
#define DP__EACH_1(m, s)
#define DP__EACH_2(m, s, a)                      m a
#define DP__EACH_3(m, s, a, b)                   m a m b
#define DP__EACH_4(m, s, a, b, c)                m a m b m c
#define DP__EACH_5(m, s, a, b, c, d)             m a m b m c m d
#define DP__EACH_6(m, s, a, b, c, d, e)          m a m b m c m d m e
#define DP__EACH_7(m, s, a, b, c, d, e, f)       m a m b m c m d m e m f
#define DP__EACH_8(m, s, a, b, c, d, e, f, g)    m a m b m c m d m e m f m g
#define DP__EACH_9(m, s, a, b, c, d, e, f, g, h) m a m b m c m d m e m f m g m h

#define DP__AS_FIELD(type, argument)             type argument;
#define DP__AS_PARAM(type, argument)             , type argument
#define DP__AS_STORE(type, argument)             dp_frame->args.argument = argument;
#define DP__AS_LOAD(type, argument)              , dp_frame->args.argument

/* DP__N(suffix, name, pairs...) is the identifier name##suffix. */
#define DP__N(suffix, ...)  DP__CAT(DP__NAME(__VA_ARGS__, ), suffix)
#define DP__NAME(name, ...) name
#define DP__NO_FIELD_0      char dp_none;
#define DP__NO_FIELD_N
#define DP__FRAME(memory, ...)                      \
    union DP__N(_dp_frame, __VA_ARGS__) *dp_frame = \
        (union DP__N(_dp_frame, __VA_ARGS__) *)(void *)(memory)

#define DP__TASK_HEAD(R, ...) \
    R DP__N(_dp_body,         \
            __VA_ARGS__)(dp_task_slot * dp_head DP__UNUSED DP__EACH(DP__AS_PARAM, __VA_ARGS__))
#define DP__VTASK_HEAD(...) DP__TASK_HEAD(void, __VA_ARGS__)

#define DP__FRAME_CHECK(...)                                                       \
    DP__STATIC_ASSERT(sizeof(union DP__N(_dp_frame, __VA_ARGS__)) <= DP_TASK_DATA, \
                      "the arguments or the result of this task exceed DP_TASK_DATA bytes");

#define DP__ARGS_STRUCT(...)                                                     \
    struct DP__N(_dp_args, __VA_ARGS__) {                                        \
        DP__PICK(DP__NO_FIELD_, __VA_ARGS__) DP__EACH(DP__AS_FIELD, __VA_ARGS__) \
    };

#define DP__FORK_FUNCTION(...)                                      \
    static inline DP__UNUSED void DP__N(_dp_fork, __VA_ARGS__)(     \
        dp_task_slot * *dp_at DP__EACH(DP__AS_PARAM, __VA_ARGS__))  \
    {                                                               \
        DP__FRAME((*dp_at)->data.bytes, __VA_ARGS__);               \
        (void)dp_frame;                                             \
        DP__EACH(DP__AS_STORE, __VA_ARGS__)                         \
        *dp_at = dp_task_fork(*dp_at, DP__N(_dp_run, __VA_ARGS__)); \
    }

#define DP__TASK_WRAP(linkage, R, ...)                                                           \
    DP__ARGS_STRUCT(__VA_ARGS__)                                                                 \
    union DP__N(_dp_frame, __VA_ARGS__) {                                                        \
        struct DP__N(_dp_args, __VA_ARGS__) args;                                                \
        R result;                                                                                \
    };                                                                                           \
    DP__FRAME_CHECK(__VA_ARGS__)                                                                 \
    linkage DP__TASK_HEAD(R, __VA_ARGS__);                                                       \
    static DP__UNUSED void DP__N(_dp_root, __VA_ARGS__)(dp_task_slot * dp_head, void *dp_memory) \
    {                                                                                            \
        DP__FRAME(dp_memory, __VA_ARGS__);                                                       \
        dp_frame->result =                                                                       \
            DP__N(_dp_body, __VA_ARGS__)(dp_head DP__EACH(DP__AS_LOAD, __VA_ARGS__));            \
    }                                                                                            \
    static DP__UNUSED void DP__N(_dp_run, __VA_ARGS__)(dp_task_slot * dp_self,                   \
                                                       dp_task_slot * dp_head)                   \
    {                                                                                            \
        DP__N(_dp_root, __VA_ARGS__)(dp_head, dp_self->data.bytes);                              \
    }                                                                                            \
    DP__FORK_FUNCTION(__VA_ARGS__)                                                               \
    static inline DP__UNUSED R DP__N(_dp_join, __VA_ARGS__)(dp_task_slot * *dp_at)               \
    {                                                                                            \
        dp_task_joined dp_joined = dp_task_join(*dp_at);                                         \
        DP__FRAME(dp_joined.slot->data.bytes, __VA_ARGS__);                                      \
        *dp_at = dp_joined.slot;                                                                 \
        if (DP__UNLIKELY(dp_joined.done))                                                        \
            return dp_frame->result;                                                             \
        return DP__N(_dp_body, __VA_ARGS__)(dp_joined.slot DP__EACH(DP__AS_LOAD, __VA_ARGS__));  \
    }                                                                                            \
    static inline DP__UNUSED int DP__N(_dp_into, __VA_ARGS__)(                                   \
        R * dp_result, dp_pool * dp_where DP__EACH(DP__AS_PARAM, __VA_ARGS__))                   \
    {                                                                                            \
        union DP__N(_dp_frame, __VA_ARGS__) dp_memory, *dp_frame = &dp_memory;                   \
        DP__EACH(DP__AS_STORE, __VA_ARGS__)                                                      \
        int dp_code = dp_task_run(dp_where, DP__N(_dp_root, __VA_ARGS__), dp_frame);             \
        if (dp_code == 0)                                                                        \
            *dp_result = dp_frame->result;                                                       \
        return dp_code;                                                                          \
    }                                                                                            \
    static inline DP__UNUSED R DP__N(_dp_start, __VA_ARGS__)(                                    \
        dp_pool * dp_where DP__EACH(DP__AS_PARAM, __VA_ARGS__))                                  \
    {                                                                                            \
        union DP__N(_dp_frame, __VA_ARGS__) dp_memory, *dp_frame = &dp_memory;                   \
        DP__EACH(DP__AS_STORE, __VA_ARGS__)                                                      \
        dp_task_must_run(dp_where, DP__N(_dp_root, __VA_ARGS__), dp_frame);                      \
        return dp_frame->result;                                                                 \
    }

#define DP__VTASK_WRAP(linkage, ...)                                                             \
    DP__ARGS_STRUCT(__VA_ARGS__)                                                                 \
    union DP__N(_dp_frame, __VA_ARGS__) {                                                        \
        struct DP__N(_dp_args, __VA_ARGS__) args;                                                \
    };                                                                                           \
    DP__FRAME_CHECK(__VA_ARGS__)                                                                 \
    linkage DP__VTASK_HEAD(__VA_ARGS__);                                                         \
    static DP__UNUSED void DP__N(_dp_root, __VA_ARGS__)(dp_task_slot * dp_head, void *dp_memory) \
    {                                                                                            \
        DP__FRAME(dp_memory, __VA_ARGS__);                                                       \
        (void)dp_frame;                                                                          \
        DP__N(_dp_body, __VA_ARGS__)(dp_head DP__EACH(DP__AS_LOAD, __VA_ARGS__));                \
    }                                                                                            \
    static DP__UNUSED void DP__N(_dp_run, __VA_ARGS__)(dp_task_slot * dp_self,                   \
                                                       dp_task_slot * dp_head)                   \
    {                                                                                            \
        DP__N(_dp_root, __VA_ARGS__)(dp_head, dp_self->data.bytes);                              \
    }                                                                                            \
    DP__FORK_FUNCTION(__VA_ARGS__)                                                               \
    static inline DP__UNUSED void DP__N(_dp_join, __VA_ARGS__)(dp_task_slot * *dp_at)            \
    {                                                                                            \
        dp_task_joined dp_joined = dp_task_join(*dp_at);                                         \
        *dp_at = dp_joined.slot;                                                                 \
        if (DP__LIKELY(!dp_joined.done))                                                         \
            DP__N(_dp_root, __VA_ARGS__)(dp_joined.slot, dp_joined.slot->data.bytes);            \
    }                                                                                            \
    static inline DP__UNUSED void DP__N(_dp_start, __VA_ARGS__)(                                 \
        dp_pool * dp_where DP__EACH(DP__AS_PARAM, __VA_ARGS__))                                  \
    {                                                                                            \
        union DP__N(_dp_frame, __VA_ARGS__) dp_memory, *dp_frame = &dp_memory;                   \
        (void)dp_frame;                                                                          \
        DP__EACH(DP__AS_STORE, __VA_ARGS__)                                                      \
        dp_task_must_run(dp_where, DP__N(_dp_root, __VA_ARGS__), dp_frame);                      \
    }

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* dp on the threads of a pool that a program has already. Its spawn() is all that dp needs. */
#include <dp/dp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 2, N = 1000 };

struct work {
    void (*f)(void *argument);
    void *argument;
    struct work *next;
};

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct work *first, **end;
    int closed;
    pthread_t threads[THREADS];
};

static void *serve(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        struct work *work = pool->first;
        if (work) {
            if (!(pool->first = work->next))
                pool->end = &pool->first;
            pthread_mutex_unlock(&pool->mutex);
            work->f(work->argument);
            free(work);
            pthread_mutex_lock(&pool->mutex);
        } else if (pool->closed) {
            break;
        } else {
            pthread_cond_wait(&pool->changed, &pool->mutex);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static int spawn(void *state, void (*f)(void *argument), void *argument)
{
    struct pool *pool = state;
    struct work *work = malloc(sizeof *work);
    if (!work)
        return -1;
    *work = (struct work){f, argument, NULL};
    pthread_mutex_lock(&pool->mutex);
    *pool->end = work;
    pool->end = &work->next;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
    return 0;
}

static int square(void *out, const void *in, void *context)
{
    (void)context;
    *(long *)out = *(const long *)in * *(const long *)in;
    return 0;
}

int main(void)
{
    struct pool pool = {
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &pool.first, 0, {0}};
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&pool.threads[i], NULL, serve, &pool) != 0)
            abort();

    dp_executor executor = {.spawn = spawn, .context = &pool};
    dp_pool_options options = {.workers = THREADS};
    dp_pool *on_it;
    long numbers[N], squares[N], sum = 0;
    if (dp_engine_register(&executor, &options.engine) || dp_pool_create(&on_it, &options))
        return 1;
    for (long i = 0; i < N; i++)
        numbers[i] = i;
    int code =
        dp_pool_map(on_it, square, numbers, sizeof *numbers, squares, sizeof *squares, N, NULL);
    dp_pool_destroy(on_it);
    for (long i = 0; i < N; i++)
        sum += squares[i];

    pthread_mutex_lock(&pool.mutex);
    pool.closed = 1;
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.mutex);
    for (int i = 0; i < THREADS; i++)
        pthread_join(pool.threads[i], NULL);
    printf("the squares below %d sum up to %ld (%s)\n", N, sum, dp_strerror(code));
    return code == 0 && sum == 332833500 ? 0 : 1;
}

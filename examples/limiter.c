/* SPDX-License-Identifier: Apache-2.0 */
/* Twelve models are loaded by all workers and trained on two devices, which take one at a time. */
#include <dp/dp.h>
#include <pthread.h>
#include <stdio.h>

enum { MODELS = 12, DEVICES = 2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int free_devices[DEVICES] = {0, 1}, free_count = DEVICES;

static int load(void *out, const void *in, void *context)
{
    (void)context;
    *(int *)out = *(const int *)in * 10;
    return 0;
}

/* Who runs this has one of the limiter's two tokens, so one of the two devices is free. */
static int train(void *out, const void *in, void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    int device = free_count > 0 ? free_devices[--free_count] : -1;
    pthread_mutex_unlock(&lock);
    if (device < 0)
        return 1;
    *(int *)out = *(const int *)in + 1; /* The device at work. */
    pthread_mutex_lock(&lock);
    free_devices[free_count++] = device;
    pthread_mutex_unlock(&lock);
    return 0;
}

int main(void)
{
    dp_limiter *devices;
    dp_future *loaded, *trained[MODELS];
    int good = 0;
    if (dp_limiter_create(&devices, DEVICES))
        return 1;
    /* A step that waits for a token takes no worker meanwhile: others go on loading. */
    dp_options limited = {.limiter = devices};
    for (int i = 0; i < MODELS; i++) {
        if (dp_pool_apply_async(NULL, load, &i, sizeof i, NULL, sizeof(int), NULL, &loaded) ||
            dp_future_then(loaded, NULL, train, NULL, sizeof(int), &limited, &trained[i]))
            return 1;
        dp_future_release(loaded);
    }
    for (int i = 0; i < MODELS; i++) {
        int result = 0;
        good += dp_future_get(trained[i], &result, sizeof result) == 0 && result == 10 * i + 1;
        dp_future_release(trained[i]);
    }
    dp_limiter_destroy(devices);
    printf("%d of %d models were trained\n", good, MODELS);
    return good == MODELS ? 0 : 1;
}

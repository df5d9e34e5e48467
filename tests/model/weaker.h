/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_WEAKER_H
#define MODEL_WEAKER_H

/* Accesses that the library does not have, for tests/model/mutate. */

#include <stdatomic.h>

#define dp__weaker(f, p, v, order)  f((p), (v), memory_order_##order)

#define dp__exchange_relaxed(p, v)  dp__weaker(atomic_exchange_explicit, p, v, relaxed)
#define dp__exchange_acquire(p, v)  dp__weaker(atomic_exchange_explicit, p, v, acquire)
#define dp__exchange_release(p, v)  dp__weaker(atomic_exchange_explicit, p, v, release)
#define dp__fetch_add_acquire(p, v) dp__weaker(atomic_fetch_add_explicit, p, v, acquire)
#define dp__fetch_add_release(p, v) dp__weaker(atomic_fetch_add_explicit, p, v, release)
#define dp__fetch_sub_relaxed(p, v) dp__weaker(atomic_fetch_sub_explicit, p, v, relaxed)
#define dp__fetch_sub_acquire(p, v) dp__weaker(atomic_fetch_sub_explicit, p, v, acquire)
#define dp__fetch_sub_release(p, v) dp__weaker(atomic_fetch_sub_explicit, p, v, release)
#define dp__fetch_or_acquire(p, v)  dp__weaker(atomic_fetch_or_explicit, p, v, acquire)
#define dp__fetch_or_release(p, v)  dp__weaker(atomic_fetch_or_explicit, p, v, release)
#define dp__fetch_and_acquire(p, v) dp__weaker(atomic_fetch_and_explicit, p, v, acquire)
#define dp__fetch_and_release(p, v) dp__weaker(atomic_fetch_and_explicit, p, v, release)
#define dp__cas_release(p, expected, v)                                                 \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_release, \
                                            memory_order_relaxed)
#define dp__cas_strong_release dp__cas_release

#endif

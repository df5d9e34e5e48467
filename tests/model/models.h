/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_MODELS_H
#define MODEL_MODELS_H

/* Every model; each is in a file of its name in models/, law_newer in law.c. */
/* clang-format off */
#define MODELS \
    MODEL(park) MODEL(lock) MODEL(lock_sleep) \
    MODEL(future) MODEL(timeout) MODEL(callback) MODEL(wait_any) MODEL(then) \
    MODEL(deque) MODEL(again) MODEL(leapfrog) MODEL(law) MODEL(law_newer) \
    MODEL(loop) MODEL(guest) \
    MODEL(pool) MODEL(wake) MODEL(jobs) MODEL(call)
/* clang-format on */

#endif

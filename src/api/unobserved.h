/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_API_UNOBSERVED_H
#define DP_API_UNOBSERVED_H

#include "dp/error.h"

/* The last reference to a failed future was released and nobody had asked. No lock may be held. */
void dp__unobserved(const dp_error *error);

/* Hold and free the lock of the hook, in the handlers of pthread_atfork(). */
void dp__unobserved_before_fork(void);
void dp__unobserved_after_fork(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_CHECK_H
#define DP_PLATFORM_CHECK_H

/*
 * DP__CHECK(condition, "what must hold"): internal invariants, and rules for users whose breach
 * shows only here, such as a fork without its join. Active in builds with DP_CHECKS, which the dev
 * and sanitizer presets are; elsewhere it costs nothing.
 */
#ifdef DP_CHECKS
#    include <stdio.h>
#    include <stdlib.h>
#    define DP__CHECK(condition, text)                                          \
        do {                                                                    \
            if (!(condition)) {                                                 \
                fprintf(stderr, "dp: %s:%d: %s\n", __FILE__, __LINE__, (text)); \
                abort();                                                        \
            }                                                                   \
        } while (0)
#else
#    define DP__CHECK(condition, text) ((void)0)
#endif

/* Whether ThreadSanitizer watches, which knows less of processes and addresses than there is. */
#if defined(__SANITIZE_THREAD__)
#    define DP__TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define DP__TSAN 1
#    endif
#endif
#ifndef DP__TSAN
#    define DP__TSAN 0
#endif

#endif

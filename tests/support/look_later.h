/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TESTS_LOOK_LATER_H
#define DP_TESTS_LOOK_LATER_H

#include <errno.h>
#include <sched.h>
#include <unistd.h>

/* Between two looks at something that was waited for so many seconds: what lasts longer than a
   moment does not lose the processor to those who look. A signal that ends the nap leaves errno as
   it was. */
static inline void look_later(double waited)
{
    int error = errno;
    if (waited < 0.002)
        sched_yield();
    else
        usleep(200);
    errno = error;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_TEST_CUSTOM_H
#define DP_TEST_CUSTOM_H

#include <dp/engine.h>

/* An engine of ours, registered on first use: as many threads as workers, and a list behind a
   mutex. */
dp_engine custom_engine(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_VERSION_H
#define DP_VERSION_H

/**
 * @file version.h
 * The version of the headers, and of the library that is really loaded.
 */

#include <dp/base.h>

#define DP_VERSION_MAJOR 0 /**< Changes when old programs must be changed. */
#define DP_VERSION_MINOR 1 /**< Changes when something is added. */
#define DP_VERSION_PATCH 0 /**< Changes when something is mended. */

/** The version as one number that can be compared: 0xMMmmpp. */
#define DP_VERSION ((DP_VERSION_MAJOR << 16) | (DP_VERSION_MINOR << 8) | DP_VERSION_PATCH)

DP_BEGIN_DECLS

/**
 * The version of the loaded library, in the form of #DP_VERSION. It differs from #DP_VERSION when
 * the program was compiled with the headers of another version.
 */
DP_API unsigned dp_version(void);

/** The version of the loaded library as text, "0.1.0". Static storage. */
DP_API const char *dp_version_string(void);

DP_END_DECLS

#endif

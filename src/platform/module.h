/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PLATFORM_MODULE_H
#define DP_PLATFORM_MODULE_H

/*
 * Where a function of one process is in another one that has begun anew: in which module, that is
 * the program or one of its libraries, and how far from where that begins. The same module may lie
 * elsewhere there, or not be loaded yet. Modules are told apart by their build ID, or where they
 * have none by their file. A function of a module that was built anew meanwhile can still be found
 * by a name that both processes have registered it with.
 */

#include "atomic.h"

/* What one process tells of a module, or of a registered function. In the shared heap. */
typedef struct dp__module dp__module;

/* Where the newest of those is found from which the others are. In memory that is shared. */
typedef struct dp__module_list {
    _Atomic(uintptr_t) newest; /* Release: all of it. */
} dp__module_list;

/* ---- In the process that has the functions ---- */

/* What it has told, for itself. */
typedef struct dp__module_book dp__module_book;

/* Tells of all that is loaded. NULL without memory. */
dp__module_book *dp__modules_tell(dp__module_list *list);

/* Takes it back; in a child of the process that has told, with 0, only what the child has of it. */
void dp__modules_take_back(dp__module_book *book, int is_ours);

/* Whether the address is in a module that was told of, as those are which have been loaded since.
   0; DP_ENOTSUP; DP_ENOMEM. Any thread. Costs about a tenth of a microsecond. */
int dp__modules_know(dp__module_book *book, const void *address);

/* ---- In the other one ---- */

/* From now on that process is where addresses come from; NULL: this one, as in the beginning. */
void dp__modules_come_from(const dp__module_list *list);
int dp__modules_are_foreign(void);

/* Where something of that process is in this one; NULL if it is not. Loads the module if need be.
   Only one thread. */
void *dp__module_here(const void *there);

#endif

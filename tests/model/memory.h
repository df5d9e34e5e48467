/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_MEMORY_H
#define MODEL_MEMORY_H

#include <stddef.h>

/* What the threads see of memory, and which of its accesses have happened before which others. */

void memory_begin_run(void);

/* One thread has seen all that the other has done: it was started by it, or has joined it. */
void memory_inherit(int thread, int from);

/* Memory for the model. free() counts as a write to all of the block. */
void *memory_allocate(size_t alignment, size_t size);
void memory_free(void *block);

/* Zeroed memory for a task region. */
void *memory_map(size_t size);

/* Takes such memory back; other addresses are ignored. */
void memory_unmap(void *start);

/* A plain read or write, checked for races. */
void memory_access(const void *start, size_t size, int writes);

/* Fails if a block was not freed. */
void memory_check_leaks(void);

/* Fails if the word's memory was freed. */
void memory_check_alive(const void *address, const char *what);

#endif

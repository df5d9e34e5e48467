/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_PROCESSES_TODO_H
#define DP_PROCESSES_TODO_H

#include <stddef.h>
#include <stdint.h>

/* Items of a batch that no worker has: what a manager has still to order. */

/* Items that stand together. */
typedef struct dp__stretch {
    size_t begin, end;
    unsigned before; /* How often a process was lost that had begun the first of them. */
    int one_by_one;  /* Each is ordered for itself: some of them are not what they seem. */
} dp__stretch;

enum { DP__FEW_STRETCHES = 16 };

typedef struct dp__todo {
    dp__stretch *list; /* The last one is next. */
    size_t count, room;
    dp__stretch few[DP__FEW_STRETCHES];
} dp__todo;

void dp__todo_begin(dp__todo *todo);
void dp__todo_end(dp__todo *todo);

/* Whether there is memory for one more. */
int dp__todo_has_room(dp__todo *todo);

/* Where there is room. */
void dp__todo_push(dp__todo *todo, const dp__stretch *what);

/* Takes at most so many items off a list that is not empty; SIZE_MAX: all that stand together. */
dp__stretch dp__todo_pop(dp__todo *todo, size_t most);

/* How many items there are. */
size_t dp__todo_items(const dp__todo *todo);

/* An array of twice as many in place of one that lies in `few` while it is small; NULL if there is
   no memory, and then that stays. */
void *dp__enlarge(void *array, const void *few, size_t count, size_t each);

#endif

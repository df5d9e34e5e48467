/* SPDX-License-Identifier: Apache-2.0 */
#include "todo.h"

#include <stdlib.h>
#include <string.h>

void *dp__enlarge(void *array, const void *few, size_t count, size_t each)
{
    void *larger = malloc(2 * count * each);
    if (!larger)
        return NULL;
    memcpy(larger, array, count * each);
    if (array != few)
        free(array);
    return larger;
}

void dp__todo_begin(dp__todo *todo)
{
    todo->list = todo->few;
    todo->count = 0;
    todo->room = DP__FEW_STRETCHES;
}

void dp__todo_end(dp__todo *todo)
{
    if (todo->list != todo->few)
        free(todo->list);
}

int dp__todo_has_room(dp__todo *todo)
{
    if (todo->count < todo->room)
        return 1;
    void *larger = dp__enlarge(todo->list, todo->few, todo->room, sizeof *todo->list);
    if (!larger)
        return 0;
    todo->list = larger;
    todo->room *= 2;
    return 1;
}

void dp__todo_push(dp__todo *todo, const dp__stretch *what)
{
    todo->list[todo->count++] = *what;
}

dp__stretch dp__todo_pop(dp__todo *todo, size_t most)
{
    dp__stretch *last = &todo->list[todo->count - 1], taken = *last;
    if (most < SIZE_MAX && last->one_by_one)
        most = 1;
    if (taken.end - taken.begin <= most) {
        todo->count--;
        return taken;
    }
    taken.end = taken.begin + most;
    last->begin = taken.end;
    last->before = 0;
    return taken;
}

size_t dp__todo_items(const dp__todo *todo)
{
    size_t items = 0;
    for (size_t i = 0; i < todo->count; i++)
        items += todo->list[i].end - todo->list[i].begin;
    return items;
}

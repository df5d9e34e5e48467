/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "crew.h"
#include "dp/error.h"
#include "output.h"
#include "platform/heap.h"
#include "platform/placement.h"

/* A crew that becomes larger or smaller while others have orders carried out. processes.md tells
   why no order is lost. */

static int add_seat(dp__head *head, dp__place *place, uint32_t number)
{
    dp__entry *entry = &head->entry[number];
    if (!entry->seat && !(entry->seat = dp__heap_alloc_lasting(sizeof *entry->seat, 1)))
        return DP_ENOMEM;
    int code = dp__output_add(head, number);
    if (code) {
        dp__heap_free(entry->seat);
        entry->seat = NULL;
        return code;
    }
    entry->is_vacant = 1;
    dp__store_relaxed(&entry->bound, -1);
    place->seat = entry->seat;
    place->entry = entry;
    return 0;
}

int dp__crew_add_seats(dp__head *head, dp__place *place, uint32_t workers)
{
    int code = 0;
    for (uint32_t i = dp__seats_now(head); code == 0 && i < workers; i++) {
        code = add_seat(head, &place[i], i);
        if (code == 0)
            dp__store_release(&head->seats, i + 1);
    }
    return code;
}

void dp__crew_claim_owners(dp__head *head, uint32_t workers)
{
    for (uint32_t i = 0; i < workers; i++)
        if (head->entry[i].owner == 0)
            head->entry[i].owner = dp__heap_claim_owner();
}

/* ---- Plans ---- */

/* By default the kernel moves the workers: those who wait for them in the application want CPUs
   too. */
static int plan_cpus(dp__head *head, uint32_t workers)
{
    struct dp__topology *topology = NULL;
    const dp_pin pin = head->options.pin;
    if (pin != DP_PIN_COMPACT && pin != DP_PIN_SCATTER)
        return 0;
    int *cpus = malloc(workers * sizeof *cpus);
    int code = cpus ? dp__topology_load(&topology, NULL) : DP_ENOMEM;
    if (code == 0)
        code = dp__placement_plan(topology, pin, workers, cpus);
    for (uint32_t i = 0; code == 0 && i < workers; i++)
        dp__store_release(&head->entry[i].bound, cpus[i]);
    dp__topology_free(topology);
    free(cpus);
    return code;
}

int dp__crew_plan(dp__head *head, uint32_t workers)
{
    int threads = head->options.inner_threads;
    int code = plan_cpus(head, workers);
    if (code == 0)
        dp__store_relaxed(&head->inner_threads,
                          threads ? threads : (int)dp__share_of(head->room, head->room, workers));
    return code;
}

/* ---- Growing and shrinking ---- */

/* What stays is where it was planned to be before, if there is memory to plan it again. */
static void take_back(dp__crew *crew, uint32_t workers)
{
    dp__crew_plan(crew->head, workers);
    dp__zygote_shrink(&crew->zygote, crew->head, workers);
}

/* Takes the places from this one on out of those that are free. With the lock. */
static void take_from_free(dp__crew *crew, uint32_t first)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < crew->free_count; i++) {
        if (crew->free[i] >= first)
            dp__crew_vacate(crew, crew->free[i]);
        else
            crew->free[kept++] = crew->free[i];
    }
    crew->free_count = kept;
}

void dp__crew_shrink(dp__crew *crew, uint32_t workers)
{
    /* First: who is told to end is not replaced. */
    take_back(crew, workers);
    dp__lock_acquire(&crew->lock);
    dp__store_relaxed(&crew->size, workers);
    take_from_free(crew, workers);
    dp__lock_release(&crew->lock);
}

static int send_files(const dp__crew *crew, uint32_t before, uint32_t workers)
{
    int code = 0;
    for (uint32_t i = before; code == 0 && i < workers; i++)
        if (crew->head->entry[i].is_vacant)
            code = dp__output_send(crew->head, i);
    return code;
}

/* Places that are still at work since the pool was larger stay so from now on: those that are
   vacant now stay that until this call has opened them. */
static void set_size(dp__crew *crew, uint32_t workers)
{
    dp__lock_acquire(&crew->lock);
    dp__store_relaxed(&crew->size, workers);
    dp__lock_release(&crew->lock);
}

/* Gives those to work at whose seats processes have begun. */
static void open_places(dp__crew *crew, uint32_t before, uint32_t workers)
{
    for (uint32_t i = workers; i-- > before;) {
        dp__entry *entry = &crew->head->entry[i];
        if (!entry->is_vacant)
            continue;
        entry->is_vacant = entry->ended = 0;
        dp__crew_give(crew, i);
    }
}

/* Tells those to end who have begun, or will, beside one who could not. */
static void vacate_again(dp__crew *crew, uint32_t before, uint32_t workers)
{
    dp__lock_acquire(&crew->lock);
    for (uint32_t i = before; i < workers; i++)
        if (crew->head->entry[i].is_vacant)
            dp__crew_vacate(crew, i);
    dp__lock_release(&crew->lock);
}

int dp__crew_grow(dp__crew *crew, uint32_t workers)
{
    const uint32_t before = dp__load_relaxed(&crew->size);
    if (dp__crew_is_broken(crew))
        return DP_EBROKEN;
    int code = dp__crew_add_seats(crew->head, crew->place, workers);
    if (code == 0)
        code = dp__crew_plan(crew->head, workers);
    if (code)
        return code;
    dp__crew_claim_owners(crew->head, workers);
    set_size(crew, workers);
    code = send_files(crew, before, workers);
    if (code == 0)
        code = dp__zygote_grow(&crew->zygote, crew->head, workers);
    if (code == 0) {
        open_places(crew, before, workers);
    } else {
        dp__crew_shrink(crew, before);
        vacate_again(crew, before, workers);
    }
    return code;
}

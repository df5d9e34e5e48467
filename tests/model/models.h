/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_MODELS_H
#define MODEL_MODELS_H

/* Every model; each is in a file of its name in models/, a few in one with another: model.cmake. */
/* clang-format off */
#define MODELS \
    MODEL(park) MODEL(lock) MODEL(lock_sleep) \
    MODEL(future) MODEL(timeout) MODEL(callback) MODEL(wait_any) MODEL(then) \
    MODEL(deque) MODEL(again) MODEL(leapfrog) MODEL(law) MODEL(law_newer) \
    MODEL(law_loop) MODEL(law_loop_newer) MODEL(law_lane) MODEL(chain) MODEL(chain_older) \
    MODEL(loop) MODEL(lanes) MODEL(nested) MODEL(stopped) MODEL(guest) \
    MODEL(imap) MODEL(imap_unordered) MODEL(imap_destroyed) MODEL(imap_limited) MODEL(imap_takers) \
    MODEL(limited) MODEL(limited_calls) MODEL(limited_turns) MODEL(then_all) MODEL(then_all_cancelled) \
    MODEL(completed) MODEL(completed_destroyed) \
    MODEL(pool) MODEL(wake) MODEL(jobs) MODEL(call) \
    MODEL(nudged) MODEL(resize) MODEL(surplus) MODEL(leaving) MODEL(slow_hook) MODEL(hooks) \
    MODEL(refused) MODEL(lend) MODEL(spare) MODEL(spare_task) MODEL(spare_fails) \
    MODEL(spare_resized) MODEL(spare_comes_back) MODEL(nap) MODEL(nap_job) MODEL(nap_meet) \
    MODEL(post) MODEL(bit) MODEL(pinned) MODEL(handover) MODEL(late_visitor) MODEL(visitors) \
    MODEL(crossing) \
    MODEL(closing) MODEL(closing_joined) MODEL(reserved) MODEL(queued) MODEL(helped) \
    MODEL(executor_jobs) MODEL(executor_refused) MODEL(executor_then) MODEL(executor_at_once) \
    MODEL(executor_loops) MODEL(executor_alone) MODEL(executor_closing) MODEL(executor_cancelled) \
    MODEL(inner_cancelled) MODEL(inner_late) MODEL(inner_executor) MODEL(orders)
/* clang-format on */

#endif

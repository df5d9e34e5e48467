/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_FIBER_H
#define MODEL_FIBER_H

/* Threads of one model, run one at a time in one real thread, each with a stack and with
   thread-local variables of its own. */

/* Makes ready to call f(number) on fiber `number` when it is switched to for the first time. f may
   return only by switching away; a fiber that did so may be prepared again. */
void fiber_prepare(int number, void (*f)(int number));

/* Leaves the running fiber, or the program's own stack, for this one; -1 is the program's own. */
void fiber_switch(int number);

/* Whether these are the thread-local variables of the program, which every fiber sees at the same
   address. */
int fiber_is_local(const void *address);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DP_WORKER_H
#define DP_WORKER_H

/**
 * @file worker.h
 * What belongs to a worker: how its thread begins and ends, and memory of its own.
 *
 * **Threads.** dp_pool_options::worker_init is called on each thread of the pool before the thread
 * runs anything else, dp_pool_options::worker_fini after it has run its last. They are for what the
 * system keeps for each thread: rounding modes, priorities, contexts of other libraries.
 *  - Threads added by dp_pool_resize(), and spares that stand in for a blocked worker, are begun
 * and ended like the first ones. Threads that are too many end after about a second without work.
 *  - dp_pool_create() and dp_pool_resize() return when every thread that they started has begun.
 *    Threads begin at the same time as one another.
 *  - If worker_init returns non-zero, the thread ends without worker_fini; dp_pool_create() or
 *    dp_pool_resize() then returns #DP_EINIT, once the others have begun. When it was a spare,
 *    nobody stands in for the blocked worker, and the pool starts no more spares.
 *  - dp_pool_join(), dp_pool_terminate() and dp_pool_destroy() return after the last worker_fini;
 *    the time limit of dp_pool_join() holds for worker_fini too. dp_pool_resize() waits for
 *    those that are running.
 *  - A thread from outside that takes part in a synchronous call is no thread of the pool: neither
 *    is called for it.
 *  - The serial engine calls worker_init(context, 0) in dp_pool_create(), on the calling thread,
 * and worker_fini(context, 0) in dp_pool_destroy(). Tasks may run on other threads than these.
 *  - Both may call dp_worker_local(), and any function on other pools. worker_fini can neither wait
 * for its own pool to end nor resize it: #DP_EDEADLOCK.
 *  - In a forked child worker_fini is not called.
 *  - A worker that is a process ends without what the program or a library has registered with
 *    atexit(): whatever must be put away belongs in worker_fini. (LLVM's OpenMP, for one, leaves a
 *    small file in /dev/shm for each process in which it was used and that ends so.)
 *
 * **Threads inside threads.** A task that calls a parallel library, in each of several workers,
 * would have more threads run than there are CPUs. So each thread of a pool of several workers
 * tells OpenMP (of GCC, LLVM and Intel) and MKL, as it begins and before worker_init, to use no
 * more than its share: dp_cpu_count(#DP_CPU_IGNORE_ENV), or for a pool that was made in a task the
 * share of that, divided by the number of workers at that moment, at least 1.
 * dp_pool_options::inner_threads sets another number, in a pool of one worker too, and then also
 * for OpenBLAS and BLIS; those have only one number for the whole process, so it holds outside the
 * pool too, and stays when the pool has ended. -1 leaves all alone.
 *  - In a process OMP_NUM_THREADS and the like are set as well, for libraries that are loaded
 * later.
 *  - A library that is loaded after the pool was made is not told.
 *  - Neither is a library's own number on a thread from outside, which is its own in its tasks too;
 *    nor anything on the serial engine.
 *  - Of several OpenMP runtimes in a process only the first is told.
 *
 * **Memory.** See dp_worker_local(). It is for what a worker keeps from task to task: caches,
 * buffers, counters that are added up at the end.
 */

#include <dp/base.h>
#include <dp/pool.h>

DP_BEGIN_DECLS

/**
 * The calling worker's own memory: dp_pool_options::local_size bytes that no other thread has at
 * the same time. It is zero at first, then stays as it was left until the pool is destroyed; then
 * dp_pool_options::local_fini is called once for each block that was made, on the thread that
 * destroys the pool, and the block is freed. (A forked child frees it without that call.)
 *
 * A block belongs to a place in the pool and not to a thread. The place of a thread that has ended
 * goes to the next one that begins. A thread from outside, in a synchronous call, has a place for
 * the length of its outermost call, and another thread may find that block later; so what
 * worker_init would have put there must be put there on first use. All nested calls of one thread
 * on one pool share a block, so its contents may change across a parallel call or a join.
 *
 * @param pool  The pool whose worker the calling thread is; not NULL for the default pool, which
 * has no such memory.
 * @return      The block, aligned to 64 bytes; NULL for a NULL `pool`, outside the tasks and
 *              worker hooks of this pool, when local_size is 0, and when memory ran out, in which
 *              case the next call tries again.
 *
 * Any thread. Cost: some nanoseconds; an allocation on first use of a place. In a pool with
 * local_size, short loops from outside cost some 0.1 microseconds more than in one without.
 */
DP_API void *dp_worker_local(dp_pool *pool);

DP_END_DECLS

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "queens.h"

long queens_count(struct queens_board board, unsigned all)
{
    if (board.columns == all)
        return 1;
    long count = 0;
    for (unsigned open = queens_free(board, all); open; open &= open - 1)
        count += queens_count(queens_place(board, open & -open), all);
    return count;
}

void queens_check(const struct bench_run *run, long count)
{
    static const long known[QUEENS_MOST + 1] = {
        1, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712, 365596, 2279184, 14772512};
    bench_expect(run, (double)count, (double)known[run->n]);
}

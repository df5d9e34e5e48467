/* SPDX-License-Identifier: Apache-2.0 */
#include "lazy.h"

long lazy_item(long x)
{
    return x + 1;
}

double lazy_expected(long n)
{
    return (double)n * (double)(n + 1) / 2;
}

// SPDX-License-Identifier: Apache-2.0
// The first program of a user of C++: lambdas as functions, a vector as the array.
#include <cstdio>
#include <vector>

#include <dp/dp.h>

static double square(double x)
{
    return x * x;
}

DP_MAP_DEFINE(square_all, double, square, double)

DP_TASK(int, fib, (int, n))
{
    if (n < 2)
        return n;
    DP_FORK(fib, n - 1);
    int b = DP_CALL(fib, n - 2);
    int a = DP_JOIN(fib);
    return a + b;
}

int main()
{
    std::vector<double> values(1000, 3.0);
    std::vector<double> squares(values.size());
    if (square_all(nullptr, values.data(), squares.data(), values.size(), nullptr) != DP_OK)
        return 1;

    auto half = [](void *out, const void *in, void *) {
        *static_cast<double *>(out) = *static_cast<const double *>(in) / 2;
        return 0;
    };
    if (dp_pool_map(nullptr, half, squares.data(), sizeof(double), values.data(), sizeof(double),
                    values.size(), nullptr) != DP_OK)
        return 1;

    for (double value : values)
        if (value < 4.4 || value > 4.6)
            return 1;
    if (DP_RUN(nullptr, fib, 20) != 6765)
        return 1;
    std::printf("C++: dp %s\n", dp_version_string());
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
// The first program of a user of C++: lambdas as functions, vectors as the arrays, and the macros
// that make verbs of functions, classes and templates of the program.
#include <complex>
#include <cstdio>
#include <vector>

#include <dp/dp.h>

static double square(double x)
{
    return x * x;
}

DP_MAP_DEFINE(square_all, double, square, double)

template <typename T> static T plus(T a, T b)
{
    return a + b;
}

using complex = std::complex<double>;
static auto rotate = [](complex z) { return z * complex(0, 1); };
static auto count = [](size_t i, std::vector<int> *counts) { (*counts)[i]++; };

DP_FOR_DEFINE(count_all, count, std::vector<int>)
DP_REDUCE_DEFINE(sum_all, double, plus<double>, 0.0)
DP_MAP_REDUCE_DEFINE(sum_rotated, complex, plus, complex(), rotate, complex)
DP_SCAN_DEFINE(running_sums, long, plus<long>, 0)

// Whether each of them computes what it should.
static bool typed_verbs_work(const std::vector<double> &x)
{
    std::vector<int> counts(1000, 0);
    std::vector<complex> ones(1000, complex(1, 0));
    std::vector<long> numbers(1000, 1);
    double sum = 0;
    complex rotated;
    if (count_all(nullptr, &counts, 0, counts.size(), nullptr) != DP_OK ||
        sum_all(nullptr, x.data(), x.size(), &sum, nullptr) != DP_OK ||
        sum_rotated(nullptr, ones.data(), ones.size(), &rotated, nullptr) != DP_OK ||
        running_sums(nullptr, numbers.data(), numbers.data(), numbers.size(), DP_SCAN_INCLUSIVE,
                     nullptr) != DP_OK)
        return false;
    for (size_t i = 0; i < counts.size(); i++)
        if (counts[i] != 1 || numbers[i] != static_cast<long>(i) + 1)
            return false;
    return sum == 9000 && rotated == complex(0, 1000);
}

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

    if (!typed_verbs_work(squares))
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

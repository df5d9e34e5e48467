/* SPDX-License-Identifier: Apache-2.0 */
#include <dp/error.h>
#include <dp/random.h>
#include <math.h>
#include <string.h>

/*
 * The parts of random.h that are too long to be inlined.
 *
 * Normal numbers must have the same bits on every machine. So the logarithm is ours, and this file
 * is compiled with -ffp-contract=off: a product and a sum that one machine fuses and another does
 * not would differ in the last bit.
 */

/* A polynomial of degree 7, highest coefficient first. */
static double polynomial(const double c[8], double x)
{
    double sum = c[0];
    for (int i = 1; i < 8; i++)
        sum = sum * x + c[i];
    return sum;
}

/* The logarithm of a normalised number 0 < x < 1/2, to about an ulp. */
static double logarithm(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffff) | (uint64_t)1023 << 52;
    memcpy(&x, &bits, sizeof x);
    if (x > 1.4142135623730951) {
        x *= 0.5;
        exponent++;
    }
    /* log x = 2 artanh s, and |s| < 0.172, so that the next term is less than 2^-60 of the sum. */
    double s = (x - 1) / (x + 1), square = s * s, sum = 0;
    for (int n = 21; n > 0; n -= 2)
        sum = sum * square + 1.0 / n;
    return 2 * s * sum + exponent * 0.6931471805599453;
}

/* Fractions of Wichura's algorithm: near the middle, in the tail, and far out. */
static const double middle[2][8] = {
    {2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4,
     4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
     1.3314166789178437745e+2, 3.3871328727963666080e+0},
    {5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4,
     2.1213794301586595867e+4, 5.3941960214247511077e+3, 6.8718700749205790830e+2,
     4.2313330701600911252e+1, 1.0}};
static const double tail[2][8] = {
    {7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
     4.63033784615654529590e+0, 1.42343711074968357734e+0},
    {1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e+0,
     2.05319162663775882187e+0, 1.0}};
static const double far[2][8] = {
    {2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e+0,
     5.46378491116411436990e+0, 6.65790464350110377720e+0},
    {2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0}};

double dp_random_normal(dp_random *random)
{
    /* One bit is the sign, the others say how probable a number farther out is on that side: from
       2^-65 to 1/2, with all the accuracy that small numbers have. */
    uint64_t bits = dp_random_u64(random);
    double beyond = ((double)(bits >> 1) + 0.5) * (1.0 / 18446744073709551616.0);
    double q = 0.5 - beyond, x;
    if (q <= 0.425) {
        double r = 0.180625 - q * q;
        x = q * polynomial(middle[0], r) / polynomial(middle[1], r);
    } else {
        double r = sqrt(-logarithm(beyond));
        if (r <= 5)
            x = polynomial(tail[0], r - 1.6) / polynomial(tail[1], r - 1.6);
        else
            x = polynomial(far[0], r - 5) / polynomial(far[1], r - 5);
    }
    return bits & 1 ? x : -x;
}

dp_random dp_random_split(const dp_random *random, uint64_t part)
{
    /* Another key than that of the stream, so that no stream shows the seeds of its parts. For one
       key Philox is a permutation, which is why all parts differ. */
    uint64_t seed = random->seed ^ 0x9e3779b97f4a7c15u;
    const uint32_t counter[4] = {(uint32_t)part, (uint32_t)(part >> 32), (uint32_t)random->index,
                                 (uint32_t)(random->index >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    dp__philox(counter, key, out);
    return dp_random_at(out[0] | (uint64_t)out[1] << 32, out[2] | (uint64_t)out[3] << 32);
}

static int check(const dp_random *random, const void *out, size_t n)
{
    if (!random || (!out && n > 0))
        return DP_EINVAL;
    return n > SIZE_MAX / 8 ? DP_EOVERFLOW : 0;
}

/* Each draws from a copy of the stream, which the compiler keeps in registers: the array might be
   the stream itself for all it knows. */

int dp_random_fill_u64(dp_random *random, uint64_t *out, size_t n)
{
    int code = check(random, out, n);
    if (code)
        return code;
    dp_random stream = *random;
    for (size_t i = 0; i < n; i++)
        out[i] = dp_random_u64(&stream);
    *random = stream;
    return 0;
}

int dp_random_fill_double(dp_random *random, double *out, size_t n)
{
    int code = check(random, out, n);
    if (code)
        return code;
    dp_random stream = *random;
    for (size_t i = 0; i < n; i++)
        out[i] = dp_random_double(&stream);
    *random = stream;
    return 0;
}

int dp_random_fill_normal(dp_random *random, double *out, size_t n)
{
    int code = check(random, out, n);
    if (code)
        return code;
    for (size_t i = 0; i < n; i++)
        out[i] = dp_random_normal(random);
    return 0;
}

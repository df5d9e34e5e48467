/* SPDX-License-Identifier: Apache-2.0 */

/* The hash by which journals are checked: the published values, however the bytes are cut. */

#include <criterion/criterion.h>
#include <string.h>

#include "platform/hash.h"

Test(hash, gives_the_published_values)
{
    const char *text = "Nobody inspects the spammish repetition";
    cr_assert_eq(dp__hash_of(NULL, 0, 0), 0xef46db3751d8e999u);
    cr_assert_eq(dp__hash_of("a", 1, 0), 0xd24ec4f1a98c6e5bu);
    cr_assert_eq(dp__hash_of("abc", 3, 0), 0x44bc2cf5ad770999u);
    cr_assert_eq(dp__hash_of(text, strlen(text), 0), 0xfbcea83c8a378bf1u);
}

Test(hash, does_not_depend_on_how_the_bytes_are_cut)
{
    enum { SIZE = 100 };
    unsigned char bytes[SIZE];
    for (int i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 7);
    for (size_t size = 0; size <= SIZE; size++) {
        uint64_t whole = dp__hash_of(bytes, size, 5);
        for (size_t cut = 0; cut <= size; cut++) {
            dp__hash hash;
            size_t second = (size - cut) / 2;
            dp__hash_begin(&hash, 5);
            dp__hash_add(&hash, bytes, cut);
            dp__hash_add(&hash, bytes + cut, second);
            dp__hash_add(&hash, bytes + cut + second, size - cut - second);
            cr_assert_eq(dp__hash_end(&hash), whole, "%zu of %zu", cut, size);
        }
        cr_assert_neq(dp__hash_of(bytes, size, 6), whole);
    }
}

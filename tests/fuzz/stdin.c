/* SPDX-License-Identifier: Apache-2.0 */
/* One input from the standard input; many, one after the other, when AFL++ has compiled this. */
#include "machine.h"

#ifdef __AFL_FUZZ_TESTCASE_LEN
__AFL_FUZZ_INIT();
#endif

int main(void)
{
#ifdef __AFL_FUZZ_TESTCASE_LEN
    __AFL_INIT();
    const uint8_t *bytes = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(1000))
        machine_run(bytes, (size_t)__AFL_FUZZ_TESTCASE_LEN);
#else
    uint8_t bytes[FUZZ_BYTES];
    machine_run(bytes, fread(bytes, 1, sizeof bytes, stdin));
#endif
    return 0;
}

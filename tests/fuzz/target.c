/* SPDX-License-Identifier: Apache-2.0 */
/* What libFuzzer calls for each input. */
#include "machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    machine_run(bytes, size);
    return 0;
}

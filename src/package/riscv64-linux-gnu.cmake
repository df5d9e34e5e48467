# SPDX-License-Identifier: Apache-2.0
#
# 64-bit RISC-V, with Debian's gcc-riscv64-linux-gnu.
set(machine riscv64)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)

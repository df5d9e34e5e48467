# SPDX-License-Identifier: Apache-2.0
#
# 64-bit ARM, with Debian's gcc-aarch64-linux-gnu.
set(machine aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/cross.cmake)

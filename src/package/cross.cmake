# SPDX-License-Identifier: Apache-2.0
#
# What the toolchain files beside it share: builds for another machine, ${machine}, with Debian's
# cross compiler; tests run in qemu-user where it is.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${machine})
set(CMAKE_C_COMPILER ${machine}-linux-gnu-gcc)

set(CMAKE_FIND_ROOT_PATH /usr/${machine}-linux-gnu)
find_program(qemu qemu-${machine})
if(qemu)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${qemu} -L ${CMAKE_FIND_ROOT_PATH})
endif()

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

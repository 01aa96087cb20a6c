# SPDX-License-Identifier: Apache-2.0
# Toolchain file: GNU Arm Embedded for bare metal. Debian and Ubuntu: gcc-arm-none-eabi and libnewlib-arm-none-eabi.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)

find_program(TE_CROSS_GCC arm-none-eabi-gcc)
if(NOT TE_CROSS_GCC)
  message(FATAL_ERROR "arm-none-eabi-gcc is not on PATH: install gcc-arm-none-eabi and libnewlib-arm-none-eabi")
endif()
set(CMAKE_C_COMPILER ${TE_CROSS_GCC})
set(CMAKE_ASM_COMPILER ${TE_CROSS_GCC})
find_program(CMAKE_CXX_COMPILER arm-none-eabi-g++) # For TFLite Micro only.
find_program(CMAKE_OBJCOPY arm-none-eabi-objcopy)

# CMake's own trial of the compiler takes half of the time of configuring, and what it finds is not asked for.
set(CMAKE_C_COMPILER_FORCED TRUE)
# Our linker script belongs to the firmware, so a test program of CMake's cannot be linked.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

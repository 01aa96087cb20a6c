/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_mve.h
 *  What the `_mve` kernels share: the vector extension of Armv8.1-M (MVE, "Helium"), and the same in C for any other
 *  machine, so that all that surrounds the assembly runs and is tested there. */
#ifndef TE_MVE_H
#define TE_MVE_H

#include <stdint.h>
#include <string.h>

#include "te_fixed_point.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
/** 1 where the assembly is compiled, 0 where its C stand-in is. */
#define TE_MVE_ASSEMBLY 1
#else
#define TE_MVE_ASSEMBLY 0
#endif

/** Among the clobbers of assembly that uses the register of vector predicates. Clang has no name for it, and keeps nothing
 *  in it beside such a statement. */
#ifdef __clang__
#define TE_PREDICATE_CLOBBER
#else
#define TE_PREDICATE_CLOBBER "p0",
#endif

/** Copies bytes that do not overlap; short runs, for which memcpy() is a long way. */
static inline void te_copy_mve(int8_t *to, const int8_t *from, int32_t count) {
#if TE_MVE_ASSEMBLY
    __asm__ volatile("wlstp.8 lr, %2, 2f\n"
                     "1:\n\t"
                     "vldrb.8 q0, [%1], #16\n\t"
                     "vstrb.8 q0, [%0], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : "+r"(to), "+r"(from)
                     : "r"(count)
                     : "lr", "q0", "memory");
#else
    memcpy(to, from, (size_t)count);
#endif
}

/** Writes the same byte everywhere. */
static inline void te_fill_mve(int8_t *to, int32_t value, int32_t count) {
#if TE_MVE_ASSEMBLY
    __asm__ volatile("vdup.8 q0, %1\n\t"
                     "wlstp.8 lr, %2, 2f\n"
                     "1:\n\t"
                     "vstrb.8 q0, [%0], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : "+r"(to)
                     : "r"(value), "r"(count)
                     : "lr", "q0", "memory");
#else
    memset(to, value, (size_t)count);
#endif
}

/** Zeros above the highest bit of x; 32 of 0. */
static inline int32_t te_leading_zeros_mve(uint32_t x) {
#if TE_MVE_ASSEMBLY
    int32_t zeros;
    __asm__("clz %0, %1" : "=r"(zeros) : "r"(x));
    return zeros;
#else
    return te_leading_zeros(x);
#endif
}

/** What MVE does to turn a sum into an output, see te_gemm_s8_mve.h.
 *  @param left_shift  24 - right shift, in [-7, 23]. */
static inline int32_t te_requantise_mve(int32_t sum, int32_t multiplier, int32_t rounding, int32_t left_shift) {
    const int32_t product = (int32_t)(((int64_t)sum * multiplier + ((int64_t)1 << 30)) >> 31);
    const int32_t value = (product - (sum < 0 ? 1 : 0) + rounding) >> (24 - left_shift);
    return value < -128 ? -128 : (value > 127 ? 127 : value);
}

#endif /* TE_MVE_H */

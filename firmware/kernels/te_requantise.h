/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_requantise.h
 *  The fixed-point steps that the kernels share.
 *
 *  A requantisation multiplier, a positive real number, is held as multiplier * 2^(shift - 31) with multiplier in
 *  [2^30, 2^31) (or 0), and applied with two roundings: the high half of the doubled product, then the right shift.
 *  Where a left shift or a sum leaves the 32-bit range it wraps, as the reference interpreter's code does on every
 *  machine it runs on.
 *
 *  Sums of 64 bits, which int16 activations need, take a multiplier of 15 bits: multiplier * 2^(shift - 15), with one
 *  rounding. */
#ifndef TE_REQUANTISE_H
#define TE_REQUANTISE_H

#include <stdint.h>

/** Whether the processor's only multiplication is of 32 bits by 32 to 32. */
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
#define TE_HALF_PRODUCTS 1
#else
#define TE_HALF_PRODUCTS 0
#endif

/** Fails to compile where >> of a negative number is not arithmetic, on which every rounding here rests. */
typedef char te_requires_arithmetic_shift[((-3 >> 1) == -2) ? 1 : -1];

/** a + b modulo 2^32. */
static inline int32_t te_add_wrapping(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/** round(a * b / 2^31) modulo 2^32, halves towards plus infinity, by products of 32 bits: for processors that have no
 *  other (Armv6-M, Armv8-M Baseline), where a product of 64 bits is a call of the C library. */
static inline int32_t te_high_product_by_halves(int32_t a, int32_t b) {
    const int32_t a_low = a & 0xFFFF, a_high = a >> 16;
    const int32_t b_low = b & 0xFFFF, b_high = b >> 16;
    const uint32_t low = (uint32_t)a_low * (uint32_t)b_low;
    /* Both sums fit: a half of 16 bits times a signed one, and less than 2^16. */
    const int32_t upper = a_high * b_low + (int32_t)(low >> 16);
    const int32_t lower = a_low * b_high + (upper & 0xFFFF);
    /* The product is high * 2^32 + (lower & 0xFFFF) * 2^16 and what is too small to round. */
    const int32_t high = a_high * b_high + (upper >> 16) + (lower >> 16);
    return (int32_t)(2u * (uint32_t)high + ((((uint32_t)lower & 0xFFFFu) + 0x4000u) >> 15));
}

/** round(a * b / 2^31) modulo 2^32, halves towards plus infinity. */
static inline int32_t te_high_product(int32_t a, int32_t b) {
#if TE_HALF_PRODUCTS
    return te_high_product_by_halves(a, b);
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
#endif
}

/** round(a * b / 2^31), halves towards plus infinity; INT32_MIN * INT32_MIN saturates. */
static inline int32_t te_high_mul(int32_t a, int32_t b) {
    return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : te_high_product(a, b);
}

/** round(x / 2^exponent), halves away from zero.
 *  @param exponent  [0, 31] */
static inline int32_t te_rounding_shift(int32_t x, int32_t exponent) {
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + ((x & mask) > threshold ? 1 : 0);
}

/** round(round(x * 2^max(shift, 0) * multiplier / 2^31) / 2^max(-shift, 0)).
 *  @param multiplier  [0, 2^31)
 *  @param shift       [-31, 31] */
static inline int32_t te_requantise(int32_t x, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    const int32_t shifted = (int32_t)((uint32_t)x << left);
    /* The multiplier is not negative, so the product cannot saturate. */
    return te_rounding_shift(te_high_product(shifted, multiplier), right);
}

/** te_requantise() of x modulo 2^32. */
static inline int32_t te_requantise_low(int64_t x, int32_t multiplier, int32_t shift) {
    return te_requantise((int32_t)(uint32_t)x, multiplier, shift);
}

/** x * multiplier by products of 32 bits.
 *  @param x           Below 2^47 in magnitude.
 *  @param multiplier  [0, 2^15) */
static inline int64_t te_product_s64_by_halves(int64_t x, int32_t multiplier) {
    const uint32_t low = (uint32_t)(uint64_t)x, factor = (uint32_t)multiplier;
    const uint32_t lowest = (low & 0xFFFFu) * factor;
    const uint64_t lower = ((uint64_t)((low >> 16) * factor) << 16) + lowest;
    return (int64_t)(((uint64_t)(uint32_t)((int32_t)(x >> 32) * multiplier) << 32) + lower);
}

/** x * multiplier, of the same ranges. */
static inline int64_t te_product_s64(int64_t x, int32_t multiplier) {
#if TE_HALF_PRODUCTS
    return te_product_s64_by_halves(x, multiplier);
#else
    return x * multiplier;
#endif
}

/** round(x * multiplier * 2^(shift - 15)) modulo 2^32, halves towards plus infinity.
 *  @param x           Below 2^47 in magnitude.
 *  @param multiplier  [0, 2^15)
 *  @param shift       [-31, 7] */
static inline int32_t te_requantise_s64(int64_t x, int32_t multiplier, int32_t shift) {
    const int32_t right = 15 - shift;
    return (int32_t)(uint32_t)((te_product_s64(x, multiplier) + ((int64_t)1 << (right - 1))) >> right);
}

/** x limited to [low, high], which lies within [-128, 127]. */
static inline int8_t te_clamp(int32_t x, int32_t low, int32_t high) {
    const int32_t floored = x < low ? low : x;
    return (int8_t)(floored > high ? high : floored);
}

/** x limited to [low, high], which lies within [-32768, 32767]. */
static inline int16_t te_clamp_s16(int32_t x, int32_t low, int32_t high) {
    const int32_t floored = x < low ? low : x;
    return (int16_t)(floored > high ? high : floored);
}

#endif /* TE_REQUANTISE_H */

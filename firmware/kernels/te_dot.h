/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_dot.h
 *  The inner loops that convolutions and matrix products share. */
#ifndef TE_DOT_H
#define TE_DOT_H

#include <stdint.h>

/** Whether there are WebAssembly's vector instructions, of which compilers make little of a sum. */
#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define TE_WASM_VECTORS 1
#else
#define TE_WASM_VECTORS 0
#endif

/** The part of a kernel axis whose taps fall inside the input. */
typedef struct {
    int32_t begin; /**< First tap inside, at most the kernel's size. */
    int32_t end;   /**< One past the last; not above begin where no tap is inside. */
} te_taps;

/** Finds the taps of one axis at one output position.
 *  @param origin    Input coordinate of tap 0; may be negative.
 *  @param in_size   Input size along the axis.
 *  @param kernel    Taps of the kernel.
 *  @param dilation  Distance between taps, at least 1. */
static inline te_taps te_taps_inside(int32_t origin, int32_t in_size, int32_t kernel, int32_t dilation) {
    te_taps taps;
    taps.begin = origin < 0 ? (dilation - 1 - origin) / dilation : 0;
    taps.end = origin < in_size ? (in_size - origin + dilation - 1) / dilation : 0;
    if (taps.begin > kernel) {
        taps.begin = kernel;
    }
    if (taps.end > kernel) {
        taps.end = kernel;
    }
    return taps;
}

/** sum of (a[i] + a_offset) * b[i].
 *  @param count     At most 65,535, so that the sum fits 32 bits.
 *  @param a_offset  [-127, 128], minus the zero point of a. */
static inline int32_t te_dot(const int8_t *a, const int8_t *b, int32_t count, int32_t a_offset) {
    int32_t sum = 0;
    int32_t i = 0;
#if TE_WASM_VECTORS
    const v128_t offsets = wasm_i16x8_splat((int16_t)a_offset);
    v128_t sums = wasm_i32x4_const_splat(0);
    for (; i + 16 <= count; i += 16) {
        const v128_t a_values = wasm_v128_load(a + i), b_values = wasm_v128_load(b + i);
        const v128_t low = wasm_i16x8_add(wasm_i16x8_extend_low_i8x16(a_values), offsets);
        const v128_t high = wasm_i16x8_add(wasm_i16x8_extend_high_i8x16(a_values), offsets);
        sums = wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(low, wasm_i16x8_extend_low_i8x16(b_values)));
        sums = wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(high, wasm_i16x8_extend_high_i8x16(b_values)));
    }
    for (; i + 8 <= count; i += 8) {
        const v128_t a_values = wasm_i16x8_add(wasm_i16x8_load8x8(a + i), offsets);
        sums = wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(a_values, wasm_i16x8_load8x8(b + i)));
    }
    sum = wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 1) + wasm_i32x4_extract_lane(sums, 2) +
          wasm_i32x4_extract_lane(sums, 3);
#endif
    for (; i + 4 <= count; i += 4) {
        sum += (a[i] + a_offset) * b[i];
        sum += (a[i + 1] + a_offset) * b[i + 1];
        sum += (a[i + 2] + a_offset) * b[i + 2];
        sum += (a[i + 3] + a_offset) * b[i + 3];
    }
    for (; i < count; ++i) {
        sum += (a[i] + a_offset) * b[i];
    }
    return sum;
}

/** So many products of an int16 and an int8 value fit 32 bits; a multiple of the unrolling. */
#define TE_DOT_S16_RUN 508

/** sum of a[i] * b[i]. */
static inline int64_t te_dot_s16(const int16_t *a, const int8_t *b, int32_t count) {
    int64_t sum = 0;
    while (count > 0) {
        const int32_t run = count < TE_DOT_S16_RUN ? count : TE_DOT_S16_RUN;
        int32_t part = 0;
        int32_t i = 0;
        for (; i + 4 <= run; i += 4) {
            part += a[i] * b[i];
            part += a[i + 1] * b[i + 1];
            part += a[i + 2] * b[i + 2];
            part += a[i + 3] * b[i + 3];
        }
        for (; i < run; ++i) {
            part += a[i] * b[i];
        }
        sum += part;
        a += run;
        b += run;
        count -= run;
    }
    return sum;
}

#endif /* TE_DOT_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_dot.h
 *  The inner loops that convolutions and matrix products share. */
#ifndef TE_DOT_H
#define TE_DOT_H

#include <stdint.h>

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

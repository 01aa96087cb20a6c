/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_transpose_conv.h
 *  Which inputs reach an output of a transposed convolution. */
#ifndef TE_TRANSPOSE_CONV_H
#define TE_TRANSPOSE_CONV_H

#include <stdint.h>

/** One axis at one output position: a window of stride 1 on the input. */
typedef struct {
    int32_t residue; /**< Of the position modulo the stride, which chooses the filter. */
    int32_t taps;    /**< May be 0. */
    int32_t origin;  /**< Input coordinate of the first tap; may be negative. */
} te_phase;

/** How many taps of a kernel have a residue modulo the stride. */
static inline int32_t te_phase_taps(int32_t residue, int32_t stride, int32_t kernel) {
    return residue < kernel ? (kernel - residue + stride - 1) / stride : 0;
}

/** @param position  Output coordinate plus the padding before it. */
static inline te_phase te_phase_at(int32_t position, int32_t stride, int32_t kernel) {
    te_phase phase;
    phase.residue = position % stride;
    phase.taps = te_phase_taps(phase.residue, stride, kernel);
    phase.origin = position / stride - phase.taps + 1;
    return phase;
}

/** Where the filters of a pair of residues begin among those of all, in taps of a filter: all taps of the rows of
 *  residues before, and of the columns before in this one. */
static inline int32_t te_phase_start(te_phase y, te_phase x, int32_t stride_h, int32_t stride_w, int32_t kernel_h,
                                     int32_t kernel_w) {
    int32_t rows = 0;
    int32_t columns = 0;
    for (int32_t i = 0; i < y.residue; ++i) {
        rows += te_phase_taps(i, stride_h, kernel_h);
    }
    for (int32_t i = 0; i < x.residue; ++i) {
        columns += te_phase_taps(i, stride_w, kernel_w);
    }
    return rows * kernel_w + columns * y.taps;
}

#endif /* TE_TRANSPOSE_CONV_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_broadcast.h
 *  The loops around element-wise kernels of two operands. */
#ifndef TE_BROADCAST_H
#define TE_BROADCAST_H

#include <stdint.h>

/** Works on one row: output[i] from a[i * step_a] and b[i * step_b] for i below count. */
typedef void te_row_function(const void *params, const int8_t *a, int32_t step_a, const int8_t *b, int32_t step_b,
                             int8_t *output, int32_t count);

/** Calls the function for each row along the last dimension.
 *  @param dims       (4) Of the output, which is dense.
 *  @param a_strides  (4) In elements; 0 repeats.
 *  @param b_strides  (4) In elements; 0 repeats. */
static inline void te_for_each_row(te_row_function *row, const void *params, const int32_t *dims, const int8_t *a,
                                   const int32_t *a_strides, const int8_t *b, const int32_t *b_strides,
                                   int8_t *output) {
    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                row(params, a + i * a_strides[0] + j * a_strides[1] + k * a_strides[2], a_strides[3],
                    b + i * b_strides[0] + j * b_strides[1] + k * b_strides[2], b_strides[3], output, dims[3]);
                output += dims[3];
            }
        }
    }
}

#endif /* TE_BROADCAST_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_broadcast.h
 *  The loops around element-wise kernels of two operands. */
#ifndef TE_BROADCAST_H
#define TE_BROADCAST_H

#include <stdint.h>

/** Works on one row: output[i] from a[i * step_a] and b[i * step_b] for i below count. */
typedef void te_row_function(const void *params, const void *a, int32_t step_a, const void *b, int32_t step_b,
                             void *output, int32_t count);

/** Calls the function for each row along the last dimension.
 *  @param element_bytes  Size of an element of a, b and the output.
 *  @param dims           (4) Of the output, which is dense.
 *  @param a_strides      (4) In elements; 0 repeats.
 *  @param b_strides      (4) In elements; 0 repeats. */
static inline void te_for_each_row(te_row_function *row, const void *params, int32_t element_bytes,
                                   const int32_t *dims, const void *a, const int32_t *a_strides, const void *b,
                                   const int32_t *b_strides, void *output) {
    char *out = output;
    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                const int32_t a_at = i * a_strides[0] + j * a_strides[1] + k * a_strides[2];
                const int32_t b_at = i * b_strides[0] + j * b_strides[1] + k * b_strides[2];
                row(params, (const char *)a + a_at * element_bytes, a_strides[3],
                    (const char *)b + b_at * element_bytes, b_strides[3], out, dims[3]);
                out += dims[3] * element_bytes;
            }
        }
    }
}

#endif /* TE_BROADCAST_H */

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_kernels.h"
#include "te_requantise.h"

static int16_t *multiply(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
                         int16_t *output) {
    const int32_t lhs_step = params->lhs_depth_stride;
    const int32_t rhs_step = params->rhs_depth_stride;
    for (int32_t row = 0; row < params->rows; ++row) {
        for (int32_t col = 0; col < params->cols; ++col) {
            const int16_t *a = lhs + row * params->lhs_row_stride;
            const int16_t *b = rhs + col * params->rhs_col_stride;
            int64_t sum = 0;
            for (int32_t i = 0; i < params->depth; ++i) {
                const int32_t product = *a * *b;
                sum += product;
                a += lhs_step;
                b += rhs_step;
            }
            *output++ = te_clamp_s16(te_requantise_s64(sum, params->multiplier, params->shift), INT16_MIN, INT16_MAX);
        }
    }
    return output;
}

void te_batch_matmul_s16(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
                         int16_t *output, void *scratch) {
    const int16_t *a = params->lhs_constant != NULL ? params->lhs_constant : lhs;
    const int16_t *b = params->rhs_constant != NULL ? params->rhs_constant : rhs;
    const int32_t *dims = params->batch_dims;
    const int32_t *a_strides = params->lhs_batch_strides;
    const int32_t *b_strides = params->rhs_batch_strides;
    (void)scratch;

    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                output = multiply(params, a + i * a_strides[0] + j * a_strides[1] + k * a_strides[2],
                                  b + i * b_strides[0] + j * b_strides[1] + k * b_strides[2], output);
            }
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dsp.h"
#include "te_kernels.h"
#include "te_requantise.h"

/** Two columns' sums over one row. */
typedef struct {
    int64_t first;
    int64_t second;
} sums;

/** Of neighbouring values. */
static inline sums multiply_two(const int16_t *row, const int16_t *first, const int16_t *second, int32_t depth) {
    sums result = {0, 0};
    for (int32_t pairs = depth >> 1; pairs > 0; --pairs) {
        const uint32_t values = te_load4(row);
        result.first = te_dual_mac_long(values, te_load4(first), result.first);
        result.second = te_dual_mac_long(values, te_load4(second), result.second);
        row += 2;
        first += 2;
        second += 2;
    }
    if ((depth & 1) != 0) {
        result.first += (int64_t)(*row * *first);
        result.second += (int64_t)(*row * *second);
    }
    return result;
}

static void copy_values(int16_t *to, const int16_t *from, int32_t step, int32_t count) {
    for (; count > 0; --count) {
        *to++ = *from;
        from += step;
    }
}

static inline int16_t finish(const te_batch_matmul_s16_params *params, int64_t sum) {
    return te_clamp_s16(te_requantise_s64(sum, params->multiplier, params->shift), INT16_MIN, INT16_MAX);
}

static int16_t *multiply(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
                         int16_t *output, int16_t *scratch) {
    const int32_t depth = params->depth;
    int32_t col_stride = params->rhs_col_stride;
    if (params->rhs_depth_stride != 1) {
        for (int32_t col = 0; col < params->cols; ++col) {
            copy_values(scratch + col * depth, rhs + col * col_stride, params->rhs_depth_stride, depth);
        }
        rhs = scratch;
        col_stride = depth;
        scratch += params->cols * depth;
    }
    for (int32_t row = 0; row < params->rows; ++row) {
        const int16_t *values = lhs + row * params->lhs_row_stride;
        const int16_t *column = rhs;
        int32_t left = params->cols;
        if (params->lhs_depth_stride != 1) {
            copy_values(scratch, values, params->lhs_depth_stride, depth);
            values = scratch;
        }
        for (; left > 1; left -= 2) {
            const sums two = multiply_two(values, column, column + col_stride, depth);
            *output++ = finish(params, two.first);
            *output++ = finish(params, two.second);
            column += 2 * col_stride;
        }
        if (left > 0) { /* The last column is alone. */
            *output++ = finish(params, multiply_two(values, column, column, depth).first);
        }
    }
    return output;
}

void te_batch_matmul_s16_dsp(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
                             int16_t *output, void *scratch) {
    const int16_t *a = params->lhs_constant != NULL ? params->lhs_constant : lhs;
    const int16_t *b = params->rhs_constant != NULL ? params->rhs_constant : rhs;
    const int32_t *dims = params->batch_dims;
    const int32_t *a_strides = params->lhs_batch_strides;
    const int32_t *b_strides = params->rhs_batch_strides;

    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                output = multiply(params, a + i * a_strides[0] + j * a_strides[1] + k * a_strides[2],
                                  b + i * b_strides[0] + j * b_strides[1] + k * b_strides[2], output, scratch);
            }
        }
    }
}

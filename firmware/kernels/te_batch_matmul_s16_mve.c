/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dsp.h"
#include "te_kernels.h"
#include "te_mve.h"
#include "te_requantise.h"

/** Two columns' sums over one row. */
typedef struct {
    int64_t first;
    int64_t second;
} sums;

#if TE_MVE_ASSEMBLY

/** Of neighbouring values; the last lanes of a depth that is no multiple of eight are predicated away. */
static inline sums multiply_two(const int16_t *row, const int16_t *first, const int16_t *second, int32_t depth) {
    sums result = {0, 0};
    __asm__ volatile("wlstp.16 lr, %[depth], 2f\n"
                     "1:\n\t"
                     "vldrh.u16 q0, [%[row]], #16\n\t"
                     "vldrh.u16 q1, [%[first]], #16\n\t"
                     "vmlaldava.s16 %Q[low], %R[low], q0, q1\n\t"
                     "vldrh.u16 q2, [%[second]], #16\n\t"
                     "vmlaldava.s16 %Q[high], %R[high], q0, q2\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [low] "+r"(result.first), [high] "+r"(result.second), [row] "+r"(row), [first] "+r"(first),
                       [second] "+r"(second)
                     : [depth] "r"(depth)
                     : "lr", "q0", "q1", "q2", "memory");
    return result;
}

/** Writes values that lie `step` apart one after the other. */
static void gather(int16_t *to, const int16_t *from, int32_t step, int32_t count) {
    const int32_t bytes = 16 * step;
    __asm__ volatile("mov r0, #0\n\t"
                     "vidup.u16 q1, r0, #1\n\t"
                     "vmul.i16 q1, q1, %[step]\n\t"
                     "wlstp.16 lr, %[count], 2f\n"
                     "1:\n\t"
                     "vldrh.u16 q0, [%[from], q1, uxtw #1]\n\t"
                     "add %[from], %[from], %[bytes]\n\t"
                     "vstrh.16 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [count] "r"(count), [step] "r"(step), [bytes] "r"(bytes)
                     : "r0", "lr", "q0", "q1", "memory");
}

#else /* The same in C. */

static sums multiply_two(const int16_t *row, const int16_t *first, const int16_t *second, int32_t depth) {
    sums result = {0, 0};
    for (int32_t i = 0; i < depth; ++i) {
        result.first += (int64_t)(row[i] * first[i]);
        result.second += (int64_t)(row[i] * second[i]);
    }
    return result;
}

static void gather(int16_t *to, const int16_t *from, int32_t step, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        to[i] = from[i * step];
    }
}

#endif

/** The multiplier for sums that fit 32 bits, as in te_gemm_s16_mve.h; 0 where the shift has none of 31 bits. */
static inline int32_t narrow_multiplier(const te_batch_matmul_s16_params *params) {
    const int32_t shift = 17 + params->shift;
    return shift >= 0 && shift <= 16 ? (int32_t)((uint32_t)params->multiplier << shift) : 0;
}

static inline int16_t finish(const te_batch_matmul_s16_params *params, int32_t narrow, int64_t sum) {
    const int32_t low = (int32_t)(uint32_t)sum;
    if (narrow != 0 && sum == low) {
        return (int16_t)te_saturate16(te_rounded_high(low, narrow));
    }
    return te_clamp_s16(te_requantise_s64(sum, params->multiplier, params->shift), INT16_MIN, INT16_MAX);
}

static int16_t *multiply(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
                         int16_t *output, int16_t *scratch) {
    const int32_t depth = params->depth;
    const int32_t narrow = narrow_multiplier(params);
    int32_t col_stride = params->rhs_col_stride;
    if (params->rhs_depth_stride != 1) {
        for (int32_t col = 0; col < params->cols; ++col) {
            gather(scratch + col * depth, rhs + col * col_stride, params->rhs_depth_stride, depth);
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
            gather(scratch, values, params->lhs_depth_stride, depth);
            values = scratch;
        }
        for (; left > 1; left -= 2) {
            const sums two = multiply_two(values, column, column + col_stride, depth);
            *output++ = finish(params, narrow, two.first);
            *output++ = finish(params, narrow, two.second);
            column += 2 * col_stride;
        }
        if (left > 0) { /* The last column is alone. */
            *output++ = finish(params, narrow, multiply_two(values, column, column, depth).first);
        }
    }
    return output;
}

void te_batch_matmul_s16_mve(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
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

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_gemm_s8_mve.h"
#include "te_kernels.h"

/** The sum of a dense run. */
static int32_t sum_of(const int8_t *from, int32_t count) {
    int32_t sum = 0;
#if TE_MVE_ASSEMBLY
    __asm__("mov r0, #0\n\t"
            "wlstp.8 lr, %2, 2f\n"
            "1:\n\t"
            "vldrb.8 q0, [%1], #16\n\t"
            "vaddva.s8 r0, q0\n\t"
            "letp lr, 1b\n"
            "2:\n\t"
            "mov %0, r0"
            : "=r"(sum), "+r"(from)
            : "r"(count)
            : "r0", "lr", "q0", "memory");
#else
    for (int32_t i = 0; i < count; ++i) {
        sum += from[i];
    }
#endif
    return sum;
}

/** Writes up to 16 values that lie `stride` apart one after the other. */
static void gather(int8_t *to, const int8_t *from, int32_t stride, int32_t count) {
#if TE_MVE_ASSEMBLY
    const int8_t *next = from;
    const int32_t step = 8 * stride;
    __asm__ volatile("mov r0, #0\n\t"
                     "vidup.u16 q1, r0, #1\n\t"
                     "vmul.i16 q1, q1, %3\n\t"
                     "wlstp.16 lr, %2, 2f\n"
                     "1:\n\t"
                     "vldrb.u16 q0, [%1, q1]\n\t"
                     "add %1, %1, %4\n\t"
                     "vstrb.16 q0, [%0], #8\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : "+l"(to), "+r"(next)
                     : "r"(count), "r"(stride), "r"(step)
                     : "r0", "lr", "q0", "q1", "memory");
#else
    for (int32_t i = 0; i < count; ++i) {
        to[i] = from[i * stride];
    }
#endif
}

/** Writes the right operand as te_gemm_s8_mve.h wants filters; what stands beside its values is 0. */
static void pack(const te_batch_matmul_mve_params *params, const int8_t *rhs, int32_t chunks, uint32_t *stream) {
    for (int32_t col = 0; col < params->cols; ++col) {
        const int32_t lane = col % TE_MVE_LANES;
        int8_t *weights = (int8_t *)stream + lane * TE_MVE_CHUNK;
        uint32_t *requantisation = stream + TE_MVE_CHUNK * chunks + lane;
        const int8_t *from = rhs + col * params->rhs_col_stride;
        int32_t sum = 0;
        for (int32_t left = params->depth; left > 0; left -= TE_MVE_CHUNK) {
            const int32_t count = left < TE_MVE_CHUNK ? left : TE_MVE_CHUNK;
            if (params->rhs_depth_stride == 1) {
                te_copy_mve(weights, from, count);
            } else {
                gather(weights, from, params->rhs_depth_stride, count);
            }
            sum += sum_of(weights, count);
            weights += TE_MVE_LANES * TE_MVE_CHUNK;
            from += TE_MVE_CHUNK * params->rhs_depth_stride;
        }
        requantisation[0] = (uint32_t)(params->lhs_zero_point * (params->depth * params->rhs_zero_point - sum));
        requantisation[TE_MVE_LANES] = (uint32_t)params->multiplier;
        requantisation[2 * TE_MVE_LANES] = (uint32_t)params->rounding;
        requantisation[3 * TE_MVE_LANES] = (uint32_t)params->left_shift;
        if (lane == TE_MVE_LANES - 1) {
            stream = requantisation - lane + TE_MVE_REQUANTISATION_WORDS;
        }
    }
}

/** A row of the left operand, where whole chunks of it can be read. */
static const int8_t *whole_row(const te_batch_matmul_mve_params *params, const int8_t *row, int8_t *copy) {
    if (params->depth % TE_MVE_CHUNK == 0) {
        return row;
    }
    te_copy_mve(copy, row, params->depth);
    return copy;
}

static void multiply(const te_batch_matmul_mve_params *params, te_gemm_mve *gemm, const int8_t *lhs, int8_t *output,
                     int8_t *copies) {
    int32_t row = 0;
    for (; row + 2 <= params->rows; row += 2) {
        const int8_t *first = whole_row(params, lhs, copies);
        const int8_t *second = whole_row(params, lhs + params->lhs_row_stride, copies + TE_MVE_CHUNK * gemm->chunks);
        gemm->first_addend = -params->rhs_zero_point * sum_of(first, params->depth);
        gemm->second_addend = -params->rhs_zero_point * sum_of(second, params->depth);
        te_gemm2_plus_s8_mve(gemm, first, second, output);
        lhs += 2 * params->lhs_row_stride;
        output += 2 * params->cols;
    }
    if (row < params->rows) {
        const int8_t *last = whole_row(params, lhs, copies);
        gemm->first_addend = -params->rhs_zero_point * sum_of(last, params->depth);
        te_gemm1_plus_s8_mve(gemm, last, output);
    }
}

void te_batch_matmul_s8_mve(const te_batch_matmul_mve_params *params, const int8_t *lhs, const int8_t *rhs,
                            int8_t *output, void *scratch) {
    const int8_t *a = params->lhs_constant != NULL ? params->lhs_constant : lhs;
    const int8_t *b = params->rhs_constant != NULL ? params->rhs_constant : rhs;
    const int32_t *dims = params->batch_dims;
    const int32_t *a_strides = params->lhs_batch_strides;
    const int32_t *b_strides = params->rhs_batch_strides;
    const int32_t chunks = (params->depth + TE_MVE_CHUNK - 1) / TE_MVE_CHUNK;
    const int32_t fours = (params->cols + TE_MVE_LANES - 1) / TE_MVE_LANES;
    const int32_t words = fours * (TE_MVE_CHUNK * chunks + TE_MVE_REQUANTISATION_WORDS);
    te_gemm_mve gemm = {scratch, chunks, params->cols, params->cols, -128, 127, 0, 0};
    uint32_t *stream = scratch;
    te_fill_mve(scratch, 0, 4 * words);
    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                pack(params, b + i * b_strides[0] + j * b_strides[1] + k * b_strides[2], chunks, stream);
                multiply(params, &gemm, a + i * a_strides[0] + j * a_strides[1] + k * a_strides[2], output,
                         (int8_t *)(stream + words));
                output += params->rows * params->cols;
            }
        }
    }
}

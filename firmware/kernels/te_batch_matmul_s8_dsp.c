/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_gemm_s8_dsp.h"
#include "te_kernels.h"

/* (a - za) * (b - zb) summed is a * b - zb * a - za * (b - zb) summed. The columns of the right operand become filters,
 * the last term their biases. The middle one is a value of the left operand's row, its sum, that meets a weight of -zb; as -zb
 * may be 128, it is there in halves, and then zeros make a word of four values full. */
/* Of a pair of columns; a plain product has one less. */
#define REQUANTISATION_WORDS 3

/** Four values of one column of the right operand from row `k` on, zeros past its end. */
static uint32_t four_values(const te_batch_matmul_dsp_params *params, const int8_t *column, int32_t k) {
    const int32_t stride = params->rhs_depth_stride;
    if (stride == 1 && k + 4 <= params->depth) {
        return te_load4(column + k);
    }
    uint32_t word = 0;
    const int32_t left = params->depth - k;
    for (int32_t i = 0; i < 4 && i < left; ++i) {
        word |= (uint32_t)(uint8_t)column[(k + i) * stride] << (8 * i);
    }
    return word;
}

/** Two neighbouring columns from row `k` on, as two words of a stream.
 *  @param pair  The columns' first values, side by side. */
static inline void interleave_rows(const te_batch_matmul_dsp_params *params, const int8_t *pair, int32_t k,
                                   uint32_t words[2]) {
    const int32_t stride = params->rhs_depth_stride;
    const int8_t *at = pair + k * stride;
    words[0] = te_load2(at) | te_load2(at + 2 * stride) << 16;
    words[1] = te_load2(at + stride) | te_load2(at + 3 * stride) << 16;
}

/** One or two columns from row `k` on, wherever they are; zeros past their end, and for no second column. */
static void interleave(const te_batch_matmul_dsp_params *params, const int8_t *first, int32_t columns, int32_t k,
                       uint32_t words[2]) {
    const uint32_t a = four_values(params, first, k);
    const uint32_t b = columns == 2 ? four_values(params, first + params->rhs_col_stride, k) : 0u;
    words[0] = (a & 0x00ff00ffu) | (b & 0x00ff00ffu) << 8;
    words[1] = (a >> 8 & 0x00ff00ffu) | (b & 0xff00ff00u);
}

/** The stream of all columns, in pairs, the last one of an odd number beside zeros. */
static void pack_columns(const te_batch_matmul_dsp_params *params, const int8_t *rhs, uint32_t *stream) {
    const uint32_t ones = te_pack(1, 1);
    const int32_t low = -params->rhs_zero_point / 2;
    const int32_t high = -params->rhs_zero_point - low;
    const uint32_t offsets = (uint32_t)(uint8_t)low * 0x101u | (uint32_t)(uint8_t)high * 0x1010000u;
    for (int32_t col = 0; col < params->cols; col += 2) {
        const int8_t *first = rhs + col * params->rhs_col_stride;
        const int32_t columns = col + 1 < params->cols ? 2 : 1;
        uint32_t *words = stream + 2;
        int32_t first_sum = 0;
        int32_t second_sum = 0;
        for (int32_t k = 0; k < params->depth; k += 4) {
            if (params->rhs_col_stride == 1 && columns == 2 && k + 4 <= params->depth) {
                interleave_rows(params, first, k, words);
            } else {
                interleave(params, first, columns, k, words);
            }
            first_sum = te_dual_mac(te_even_bytes(words[0]), ones, first_sum);
            first_sum = te_dual_mac(te_even_bytes(words[1]), ones, first_sum);
            second_sum = te_dual_mac(te_odd_bytes(words[0]), ones, second_sum);
            second_sum = te_dual_mac(te_odd_bytes(words[1]), ones, second_sum);
            words += 2;
        }
        *words++ = offsets;
        *words++ = 0;
        const int32_t excess = params->depth * params->rhs_zero_point;
        stream[0] = (uint32_t)(-params->lhs_zero_point * (first_sum - excess));
        stream[1] = (uint32_t)(-params->lhs_zero_point * (second_sum - excess));
        *words++ = (uint32_t)params->multiplier;
        *words++ = (uint32_t)params->multiplier;
        if (params->plain) { /* At most 255 terms of at most 128 * 255 fit 24 bits. */
            stream[0] = stream[0] << 8 | (uint32_t)(params->right_shift - 1);
            stream[1] = stream[1] << 8 | (uint32_t)(params->right_shift - 1);
        } else {
            *words++ = (uint32_t)params->right_shift * 0x101u | (uint32_t)params->left_shift * 0x1010000u;
        }
        stream = words;
    }
}

/** One row of the left operand: its values, zeros to the next word, and its sum.
 *  @param at_once  The rows that are interleaved. */
static void widen_row(const te_batch_matmul_dsp_params *params, const int8_t *row, uint32_t *columns, int32_t at_once) {
    const uint32_t ones = te_pack(1, 1);
    const int32_t stride = params->lhs_depth_stride;
    int32_t sum = 0;
    for (int32_t k = 0; k < params->depth; k += 4) {
        uint32_t word = 0;
        if (stride == 1 && k + 4 <= params->depth) {
            word = te_load4(row + k);
        } else {
            for (int32_t i = 0; i < 4 && k + i < params->depth; ++i) {
                word |= (uint32_t)(uint8_t)row[(k + i) * stride] << (8 * i);
            }
        }
        const uint32_t even = te_even_bytes(word);
        const uint32_t odd = te_odd_bytes(word);
        sum = te_dual_mac(even, ones, te_dual_mac(odd, ones, sum));
        columns[0] = even;
        columns[at_once] = odd;
        columns += 2 * at_once;
    }
    columns[0] = te_pack(sum, sum);
    columns[at_once] = 0;
}

static void multiply(const te_batch_matmul_dsp_params *params, const int8_t *lhs, const int8_t *rhs, int8_t *output,
                     uint32_t *stream, uint32_t *columns) {
    const te_gemm_s8_dsp gemm = {stream,       params->steps, params->cols, params->cols, params->output_zero_point,
                                 INT8_MIN,     INT8_MAX,      params->plain, 1};
    int32_t row = 0;
    pack_columns(params, rhs, stream);
    for (; row + TE_GEMM_PIXELS <= params->rows; row += TE_GEMM_PIXELS) {
        for (int32_t i = 0; i < TE_GEMM_PIXELS; ++i) {
            widen_row(params, lhs + (row + i) * params->lhs_row_stride, columns + i, TE_GEMM_PIXELS);
        }
        te_gemm4_s8_dsp(&gemm, columns, output);
        output += TE_GEMM_PIXELS * params->cols;
    }
    for (; row < params->rows; ++row) {
        widen_row(params, lhs + row * params->lhs_row_stride, columns, 1);
        te_gemm1_s8_dsp(&gemm, columns, output);
        output += params->cols;
    }
}

void te_batch_matmul_s8_dsp(const te_batch_matmul_dsp_params *params, const int8_t *lhs, const int8_t *rhs,
                            int8_t *output, void *scratch) {
    const int32_t *dims = params->batch_dims;
    const int32_t *lhs_strides = params->lhs_batch_strides;
    const int32_t *rhs_strides = params->rhs_batch_strides;
    uint32_t *stream = scratch;
    uint32_t *columns = stream + (2 + params->steps + REQUANTISATION_WORDS) * ((params->cols + 1) / 2);
    lhs = params->lhs_constant != NULL ? params->lhs_constant : lhs;
    rhs = params->rhs_constant != NULL ? params->rhs_constant : rhs;
    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                multiply(params, lhs + i * lhs_strides[0] + j * lhs_strides[1] + k * lhs_strides[2],
                         rhs + i * rhs_strides[0] + j * rhs_strides[1] + k * rhs_strides[2], output, stream, columns);
                output += params->rows * params->cols;
            }
        }
    }
}

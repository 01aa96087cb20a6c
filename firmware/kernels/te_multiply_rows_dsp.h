/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_multiply_rows_dsp.h
 *  The rows of te_fully_connected_s8_dsp(), with the matrix product left open: TE_GEMM4 and TE_GEMM1 are
 *  te_gemm4_s8_dsp() and te_gemm1_s8_dsp(), or those of weights of other widths. */
#ifndef TE_MULTIPLY_ROWS_DSP_H
#define TE_MULTIPLY_ROWS_DSP_H

#include "te_assembly.h"
#include "te_gemm_s8_dsp.h"
#include "te_kernels.h"
#include "te_widen_row_dsp.h"

static void widen_rows(const te_fully_connected_dsp_params *params, const int8_t *rows, uint32_t *columns) {
    const int32_t words = params->in_c >> 2;
    const int32_t rest = params->in_c & 3;
    const int8_t *sources[TE_GEMM_PIXELS];
    int8_t last[TE_GEMM_PIXELS][4];
    for (int32_t i = 0; i < TE_GEMM_PIXELS; ++i) {
        sources[i] = rows + i * params->in_c;
    }
    if (words > 0) {
        columns = te_widen4_dsp(columns, sources, words);
    }
    if (rest > 0) {
        for (int32_t i = 0; i < TE_GEMM_PIXELS; ++i) {
            memset(last[i], 0, sizeof last[i]);
            memcpy(last[i], sources[i] + 4 * words, (size_t)rest);
            sources[i] = last[i];
        }
        te_widen4_dsp(columns, sources, 1);
    }
}

static void te_multiply_rows_dsp(const te_fully_connected_dsp_params *params, const int8_t *input, int8_t *output, void *scratch) {
    te_gemm_s8_dsp gemm = {params->packed,     ((params->in_c + 3) >> 2) * 2, params->out_c,
                           params->out_c,      params->output_zero_point,     params->output_min,
                           params->output_max, params->plain,                 params->blocks};
#if TE_SMALL
    gemm.blocks = 1;
#endif
    uint32_t *const columns = scratch;
    int32_t left = params->batches;
    while (left >= TE_GEMM_PIXELS) {
        if (left < gemm.blocks * TE_GEMM_PIXELS) {
            gemm.blocks = left / TE_GEMM_PIXELS;
        }
        const int32_t at_once = gemm.blocks * TE_GEMM_PIXELS;
        for (int32_t block = 0; block < gemm.blocks; ++block) {
            widen_rows(params, input, columns + block * TE_GEMM_PIXELS * gemm.steps);
            input += TE_GEMM_PIXELS * params->in_c;
        }
        TE_GEMM4(&gemm, columns, output);
        output += at_once * params->out_c;
        left -= at_once;
    }
    for (; left > 0; --left) {
        te_widen_row_dsp(params, input, columns);
        TE_GEMM1(&gemm, columns, output);
        input += params->in_c;
        output += params->out_c;
    }
}

#endif /* TE_MULTIPLY_ROWS_DSP_H */

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_row_s8_dsp.h"
#include "te_kernels.h"
#include "te_widen_row_dsp.h"

void te_fully_connected_row_s8_dsp(const te_fully_connected_dsp_params *params, const int8_t *input, int8_t *output,
                                   void *scratch) {
    te_gemm_s8_dsp gemm = {params->packed,     ((params->in_c + 3) >> 2) * 2, params->out_c,
                           params->out_c,      params->output_zero_point,     params->output_min,
                           params->output_max, params->plain,                 1};
    const int32_t rest = params->out_c % TE_GEMM_ROW_CHANNELS;
    const int32_t rows_words = params->out_c / TE_GEMM_ROW_CHANNELS * te_gemm_row_words(gemm.steps);
    uint32_t *const columns = scratch;
    for (int32_t left = params->batches; left > 0; --left) {
        te_widen_row_dsp(params, input, columns);
        gemm.packed = params->packed;
        gemm.out_c = params->out_c;
        te_gemm_row_s8_dsp(&gemm, columns, output, te_gemm_row_products(columns, gemm.steps));
        if (rest > 0) {
            gemm.packed += rows_words;
            gemm.out_c = rest;
            te_gemm1_s8_dsp(&gemm, columns, output + params->out_c - rest);
        }
        input += params->in_c;
        output += params->out_c;
    }
}

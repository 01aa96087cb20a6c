/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_blocks_s8_dsp.h"

#define TE_GEMM4 te_gemm_blocks_s8_dsp
#define TE_GEMM1 te_gemm1_s8_dsp
#include "te_multiply_rows_dsp.h"

void te_fully_connected_blocks_s8_dsp(const te_fully_connected_dsp_params *params, const int8_t *input, int8_t *output,
                                      void *scratch) {
    te_multiply_rows_dsp(params, input, output, scratch);
}

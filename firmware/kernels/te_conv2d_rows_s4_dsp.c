/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s4_dsp.h"

#define TE_GEMM4 te_gemm4_s4_dsp
#define TE_GEMM1 te_gemm1_s4_dsp
#define TE_GEMM_BLOCKS(params) 1
#include "te_convolve_rows_dsp.h"

void te_conv2d_rows_s4_dsp(const te_conv2d_rows_dsp_params *params, const int8_t *input, int8_t *output,
                           void *scratch) {
    te_convolve_rows_dsp(params, input, output, scratch);
}

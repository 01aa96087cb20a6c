/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s4_scalar.h"

#define TE_GEMM4 te_gemm4_s4_scalar
#define TE_WORD_WEIGHTS 8
#include "te_convolve_scalar.h"

void te_conv2d_s4_scalar(const te_conv2d_scalar_params *params, const int8_t *input, int8_t *output, void *scratch) {
    te_convolve_scalar(params, input, output, scratch);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_convolve_mve.h"
#include "te_gemm_s8_mve.h"
#include "te_kernels.h"

void te_conv2d_s4_mve(const te_conv2d_mve_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const int full = params->output_min == -128 && params->output_max == 127;
    const te_convolve_mve_products products = {full ? te_gemm1_full_s4_mve : te_gemm1_limited_s4_mve,
                                               full ? te_gemm2_full_s4_mve : te_gemm2_limited_s4_mve, 1};
    te_convolve_mve(params, products, input, output, scratch);
}

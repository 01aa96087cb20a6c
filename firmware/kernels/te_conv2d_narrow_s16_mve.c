/* SPDX-License-Identifier: Apache-2.0 */
#include "te_convolve_mve.h"
#include "te_gemm_s16_mve.h"
#include "te_kernels.h"

void te_conv2d_narrow_s16_mve(const te_conv2d_mve_params *params, const int16_t *input, int16_t *output,
                              void *scratch) {
    const te_convolve_mve_products products = {te_gemm1_s16_mve, te_gemm2_s16_mve, 2};
    te_convolve_mve(params, products, input, output, scratch);
}

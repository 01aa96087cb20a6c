/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s8_scalar.h"
#include "te_kernels.h"

void te_fully_connected_s8_scalar(const te_fully_connected_scalar_params *params, const int8_t *input, int8_t *output,
                                  void *scratch) {
    const int32_t in_c = params->in_c;
    const int32_t out_c = params->out_c;
    const te_gemm_s8_scalar gemm = {
        (in_c + 3) / 4, out_c, {2 * params->output_zero_point + 1, params->output_min, params->output_max}};
    uint32_t *const columns = scratch;
    int32_t left = params->batches;
    for (; left >= TE_SCALAR_SUMS; left -= TE_SCALAR_SUMS) {
        const int8_t *const pixels[TE_SCALAR_SUMS] = {input, input + in_c, input + 2 * in_c, input + 3 * in_c};
        (void)te_columns4_s8_scalar(columns, pixels, in_c);
        te_gemm4_s8_scalar(&gemm, params->packed, params->shifts, out_c, columns, output, TE_SCALAR_SUMS);
        input += TE_SCALAR_SUMS * in_c;
        output += TE_SCALAR_SUMS * out_c;
    }
    for (; left > 0; --left) {
        te_gemm1_s8_scalar(&gemm, params->packed, params->shifts, out_c, input, in_c, output);
        input += in_c;
        output += out_c;
    }
}

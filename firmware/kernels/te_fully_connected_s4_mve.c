/* SPDX-License-Identifier: Apache-2.0 */
#include "te_fully_connected_mve.h"

void te_fully_connected_s4_mve(const te_fully_connected_mve_params *params, const int8_t *input, int8_t *output,
                               void *scratch) {
    const int full = params->output_min == -128 && params->output_max == 127;
    te_fully_connected_mve(params, full ? te_gemm1_full_s4_mve : te_gemm1_limited_s4_mve,
                           full ? te_gemm2_full_s4_mve : te_gemm2_limited_s4_mve, input, output, scratch);
}

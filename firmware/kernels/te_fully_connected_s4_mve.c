/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s8_mve.h"
#include "te_kernels.h"

void te_fully_connected_s4_mve(const te_fully_connected_mve_params *params, const int8_t *input, int8_t *output,
                               void *scratch) {
    const int32_t in_c = params->in_c;
    const int32_t chunks = (in_c + TE_MVE_CHUNK - 1) / TE_MVE_CHUNK;
    const int32_t read = TE_MVE_CHUNK * chunks;
    const te_gemm_mve gemm = {params->packed, chunks, params->out_c, params->out_c, params->output_min,
                              params->output_max, 0, 0};
    const int full = params->output_min == -128 && params->output_max == 127;
    te_gemm1_function *const one = full ? te_gemm1_full_s4_mve : te_gemm1_limited_s4_mve;
    te_gemm2_function *const two = full ? te_gemm2_full_s4_mve : te_gemm2_limited_s4_mve;
    int8_t *last = scratch;
    int32_t left = params->batches;
    /* What a row is read beyond its end is the next rows'; only the last rows are copied to where more can be read. */
    for (; left >= 2 && (left - 1) * in_c >= read; left -= 2) {
        two(&gemm, input, input + in_c, output);
        input += 2 * in_c;
        output += 2 * params->out_c;
    }
    for (; left > 0; --left) {
        const int8_t *row = input;
        if (left * in_c < read) {
            te_copy_mve(last, input, in_c);
            row = last;
        }
        one(&gemm, row, output);
        input += in_c;
        output += params->out_c;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"

void te_dequantize_s16_f32(const te_quantize_params *params, const int16_t *input, float *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        output[i] = params->scale * (float)(input[i] - params->zero_point);
    }
}

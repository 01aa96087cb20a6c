/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_round_f32.h"

void te_quantize_f32_s16(const te_quantize_params *params, const float *input, int16_t *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t value = te_round_f32(input[i] / params->scale) + params->zero_point;
        output[i] = (int16_t)(value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value);
    }
}

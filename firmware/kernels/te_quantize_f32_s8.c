/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_round_f32.h"

void te_quantize_f32_s8(const te_quantize_params *params, const float *input, int8_t *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t value = te_round_f32(input[i] / params->scale) + params->zero_point;
        output[i] = (int8_t)(value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_requantise.h"

void te_sided_s16(const te_sided_s16_params *params, const int16_t *input, int16_t *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t value = input[i];
        int32_t scaled;
        if (value >= 0) {
            scaled = te_requantise(value, params->above_multiplier, params->above_shift);
        } else {
            const int32_t below = params->sign_before * value;
            scaled = te_requantise(below, params->below_multiplier, params->below_shift) * params->sign_after;
        }
        output[i] = te_clamp_s16(scaled, INT16_MIN, INT16_MAX);
    }
}

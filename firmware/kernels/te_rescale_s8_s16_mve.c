/* SPDX-License-Identifier: Apache-2.0 */
#include "te_rescale_mve.h"

void te_rescale_s8_s16_mve(const te_rescale_params *params, const int8_t *input, int16_t *output, void *scratch) {
    (void)scratch;
#if TE_MVE_ASSEMBLY
    TE_RESCALE_MVE(params, input, output, "vldrb.s32", "4", "vstrh.32", "8");
#else
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t scaled = te_requantise(input[i] - params->input_zero_point, params->multiplier, params->shift);
        output[i] = te_clamp_s16(te_add_wrapping(scaled, params->output_zero_point), params->output_min,
                                 params->output_max);
    }
#endif
}

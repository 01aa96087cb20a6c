/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_requantise.h"

/** sum of (a[i] + a_offset) * (b[i] + b_offset). */
static int32_t dot_with_offsets(const int8_t *a, const int8_t *b, int32_t count, int32_t a_offset, int32_t b_offset) {
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += (a[i] + a_offset) * (b[i] + b_offset);
    }
    return sum;
}

void te_fully_connected_s8(const te_fully_connected_params *params, const int8_t *input, int8_t *output,
                           void *scratch) {
    const int32_t input_offset = -params->input_zero_point;
    const int32_t weights_offset = -params->weights_zero_point;
    (void)scratch;

    for (int32_t batch = 0; batch < params->batches; ++batch) {
        const int8_t *weights = params->weights;
        for (int32_t out_c = 0; out_c < params->out_c; ++out_c) {
            int32_t sum = weights_offset == 0
                              ? te_dot(input, weights, params->in_c, input_offset)
                              : dot_with_offsets(input, weights, params->in_c, input_offset, weights_offset);
            if (params->bias != NULL) {
                sum = te_add_wrapping(sum, params->bias[out_c]);
            }
            sum = te_requantise(sum, params->multipliers[out_c], params->shifts[out_c]);
            sum = te_add_wrapping(sum, params->output_zero_point);
            *output++ = te_clamp(sum, params->output_min, params->output_max);
            weights += params->in_c;
        }
        input += params->in_c;
    }
}

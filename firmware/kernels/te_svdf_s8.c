/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_requantise.h"

void te_svdf_s8(const te_svdf_params *params, const int8_t *input, int8_t *output, void *scratch, int8_t *state) {
    const int32_t filters = params->filters;
    const int32_t memory = params->memory;
    (void)scratch;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        int8_t *columns = state + batch * filters * memory;
        memmove(columns, columns + 1, (size_t)(filters * memory - 1));
        for (int32_t filter = 0; filter < filters; ++filter) {
            const int32_t sum = te_add_wrapping(te_dot(input, params->feature_weights + filter * params->in_c,
                                                       params->in_c, 0),
                                                params->feature_bias[filter]);
            const int32_t value = te_requantise(sum, params->feature_multiplier, params->feature_shift);
            /* The reference limits before it adds the zero point, and keeps the low byte. */
            const int32_t limited = te_clamp(value, INT8_MIN, INT8_MAX) + params->state_zero_point;
            columns[(filter + 1) * memory - 1] = (int8_t)(uint8_t)((uint32_t)limited & 0xffu);
        }
        for (int32_t unit = 0; unit < filters / params->rank; ++unit) {
            const int32_t at = unit * params->rank * memory;
            const int32_t sum = te_dot(columns + at, params->time_weights + at, params->rank * memory,
                                       -params->state_zero_point);
            const int32_t value = te_requantise(te_add_wrapping(sum, params->bias[unit]), params->output_multiplier,
                                                params->output_shift);
            *output++ = te_clamp(value + params->output_zero_point, INT8_MIN, INT8_MAX);
        }
        input += params->in_c;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_requantise.h"

/* Modulo 2^32, as the reference's sums. */
static int32_t dot_of_states(const int16_t *a, const int16_t *b, int32_t count) {
    uint32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += (uint32_t)(a[i] * b[i]);
    }
    return (int32_t)sum;
}

void te_svdf_s16(const te_svdf_s16_params *params, const int8_t *input, int8_t *output, void *scratch, int16_t *state) {
    const int32_t filters = params->filters;
    const int32_t memory = params->memory;
    (void)scratch;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        int16_t *columns = state + batch * filters * memory;
        memmove(columns, columns + 1, (size_t)(filters * memory - 1) * sizeof *columns);
        for (int32_t filter = 0; filter < filters; ++filter) {
            const int32_t sum = te_add_wrapping(te_dot(input, params->feature_weights + filter * params->in_c,
                                                       params->in_c, 0),
                                                params->feature_bias[filter]);
            columns[(filter + 1) * memory - 1] =
                te_clamp_s16(te_requantise(sum, params->feature_multiplier, params->feature_shift), INT16_MIN, INT16_MAX);
        }
        for (int32_t unit = 0; unit < filters / params->rank; ++unit) {
            const int32_t at = unit * params->rank * memory;
            const int32_t sum = dot_of_states(columns + at, params->time_weights + at, params->rank * memory);
            const int32_t value = te_requantise(te_add_wrapping(sum, params->bias[unit]), params->output_multiplier,
                                                params->output_shift);
            *output++ = te_clamp(value + params->output_zero_point, INT8_MIN, INT8_MAX);
        }
        input += params->in_c;
    }
}

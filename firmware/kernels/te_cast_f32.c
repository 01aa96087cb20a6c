/* SPDX-License-Identifier: Apache-2.0 */
#include "te_cast_value.h"

void te_cast_f32(const te_cast_params *params, const void *input, float *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        output[i] = (float)te_cast_value(input, params->source, i);
    }
}

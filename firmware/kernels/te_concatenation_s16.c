/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "te_kernels.h"

void te_concatenation_s16(const te_concatenation_params *params, const int16_t *const *inputs, int16_t *output,
                          void *scratch) {
    (void)scratch;
    for (int32_t outer = 0; outer < params->outer; ++outer) {
        for (int32_t i = 0; i < params->inputs; ++i) {
            memcpy(output, inputs[i] + outer * params->inner[i], (size_t)params->inner[i] * sizeof *output);
            output += params->inner[i];
        }
    }
}

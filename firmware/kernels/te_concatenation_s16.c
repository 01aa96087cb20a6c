/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stddef.h>

#include "te_copy.h"
#include "te_kernels.h"

void te_concatenation_s16(const te_concatenation_params *params, const int16_t *const *inputs, int16_t *output,
                          void *scratch) {
    const int16_t *constants = (const int16_t *)params->constants;
    int32_t row = 0;
    (void)scratch;

    for (int32_t i = 0; i < params->parts; ++i) {
        row += params->inner[i];
    }
    for (int32_t i = 0; i < params->parts; ++i) {
        const int32_t inner = params->inner[i];
        const bool constant = params->starts != NULL && params->starts[i] >= 0;
        const int16_t *part = constant ? constants + params->starts[i] : *inputs++;
        te_copy_rows(output, 2 * row, part, 2 * inner, 2 * inner, params->outer);
        output += inner;
    }
}

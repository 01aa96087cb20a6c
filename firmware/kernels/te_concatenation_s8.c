/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stddef.h>

#include "te_copy.h"
#include "te_kernels.h"

void te_concatenation_s8(const te_concatenation_params *params, const int8_t *const *inputs, int8_t *output,
                         void *scratch) {
    const int8_t *constants = (const int8_t *)params->constants;
    int32_t row = 0;
    (void)scratch;

    for (int32_t i = 0; i < params->parts; ++i) {
        row += params->inner[i];
    }
    for (int32_t i = 0; i < params->parts; ++i) {
        const int32_t inner = params->inner[i];
        const bool constant = params->starts != NULL && params->starts[i] >= 0;
        const int8_t *part = constant ? constants + params->starts[i] : *inputs++;
        te_copy_rows(output, row, part, inner, inner, params->outer);
        output += inner;
    }
}

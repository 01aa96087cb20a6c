/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_add_rows_dsp.h"

static void add_row(const void *params, const void *a, int32_t step_a, const void *b, int32_t step_b, void *output,
                    int32_t count) {
    te_add_row(1, params, a, step_a, b, step_b, output, count);
}

void te_add_rows_s8_dsp(const te_add_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                        void *scratch) {
    const int8_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int8_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(add_row, params, sizeof *output, params->dims, a, params->strides1, b, params->strides2, output);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_broadcast.h"
#include "te_kernels.h"

static void maximum_row(const void *params, const void *opaque_a, int32_t step_a, const void *opaque_b, int32_t step_b,
                        void *opaque_output, int32_t count) {
    const int8_t *a = opaque_a;
    const int8_t *b = opaque_b;
    int8_t *output = opaque_output;
    (void)params;
    for (int32_t i = 0; i < count; ++i) {
        output[i] = *a > *b ? *a : *b;
        a += step_a;
        b += step_b;
    }
}

void te_maximum_s8(const te_extremum_params *params, const int8_t *input1, const int8_t *input2,
                   int8_t *output, void *scratch) {
    const int8_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int8_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(maximum_row, params, sizeof *output, params->dims, a, params->strides1, b, params->strides2,
                    output);
}

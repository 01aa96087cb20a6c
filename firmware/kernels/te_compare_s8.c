/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_broadcast.h"
#include "te_kernels.h"
#include "te_requantise.h"

/* A unit is 2^-8. */
#define UNIT_BITS 8

static int8_t compare(int32_t comparison, int32_t a, int32_t b) {
    switch (comparison) {
    case TE_EQUAL:
        return a == b;
    case TE_NOT_EQUAL:
        return a != b;
    case TE_GREATER:
        return a > b;
    case TE_GREATER_EQUAL:
        return a >= b;
    case TE_LESS:
        return a < b;
    default:
        return a <= b;
    }
}

static void compare_row(const void *opaque_params, const void *opaque_a, int32_t step_a, const void *opaque_b,
                        int32_t step_b, void *opaque_output, int32_t count) {
    const te_compare_params *params = opaque_params;
    const int8_t *a = opaque_a;
    const int8_t *b = opaque_b;
    int8_t *output = opaque_output;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t first = te_requantise((*a - params->input1_zero_point) * (1 << UNIT_BITS),
                                            params->input1_multiplier, params->input1_shift);
        const int32_t second = te_requantise((*b - params->input2_zero_point) * (1 << UNIT_BITS),
                                             params->input2_multiplier, params->input2_shift);
        output[i] = compare(params->comparison, first, second);
        a += step_a;
        b += step_b;
    }
}

void te_compare_s8(const te_compare_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                   void *scratch) {
    const int8_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int8_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(compare_row, params, sizeof *output, params->dims, a, params->strides1, b, params->strides2,
                    output);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_kernels.h"

/** Where the operands are at an index of the outer three dimensions. */
static int32_t start(const int32_t *strides, int32_t i, int32_t j, int32_t k) {
    return i * strides[0] + j * strides[1] + k * strides[2];
}

void te_select_s8(const te_select_params *params, const int8_t *condition, const int8_t *chosen, const int8_t *other,
                  int8_t *output, void *scratch) {
    const int8_t *conditions = params->constant_condition != NULL ? params->constant_condition : condition;
    const int8_t *firsts = params->constant_chosen != NULL ? params->constant_chosen : chosen;
    const int8_t *seconds = params->constant_other != NULL ? params->constant_other : other;
    (void)scratch;
    for (int32_t i = 0; i < params->dims[0]; ++i) {
        for (int32_t j = 0; j < params->dims[1]; ++j) {
            for (int32_t k = 0; k < params->dims[2]; ++k) {
                const int8_t *is_chosen = conditions + start(params->condition_strides, i, j, k);
                const int8_t *first = firsts + start(params->chosen_strides, i, j, k);
                const int8_t *second = seconds + start(params->other_strides, i, j, k);
                for (int32_t left = params->dims[3]; left > 0; --left) {
                    *output++ = *is_chosen != 0 ? *first : *second;
                    is_chosen += params->condition_strides[3];
                    first += params->chosen_strides[3];
                    second += params->other_strides[3];
                }
            }
        }
    }
}

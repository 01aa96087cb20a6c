/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "te_copy.h"
#include "te_kernels.h"

void te_pad_s8(const te_pad_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const int32_t *dims = params->dims;
    const int32_t *strides = params->strides;
    (void)scratch;

    memset(output, (int)params->value, (size_t)params->count);
    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                int32_t at = params->start + i * strides[0] + j * strides[1] + k * strides[2];
                for (int32_t l = 0; l < dims[3]; ++l) {
                    te_copy_rows(output + at, strides[4], input, dims[5], dims[5], dims[4]);
                    input += dims[4] * dims[5];
                    at += strides[3];
                }
            }
        }
    }
}

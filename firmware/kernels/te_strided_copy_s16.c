/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"

void te_strided_copy_s16(const te_strided_copy_params *params, const int16_t *input, int16_t *output, void *scratch) {
    const int32_t *dims = params->dims;
    const int32_t *strides = params->strides;
    (void)scratch;

    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                for (int32_t l = 0; l < dims[3]; ++l) {
                    int32_t at = params->start + i * strides[0] + j * strides[1] + k * strides[2] + l * strides[3];
                    for (int32_t m = 0; m < dims[4]; ++m) {
                        *output++ = input[at];
                        at += strides[4];
                    }
                }
            }
        }
    }
}

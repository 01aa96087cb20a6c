/* SPDX-License-Identifier: Apache-2.0 */
#include "te_convolve_s16.h"

void te_conv2d_s16(const te_conv2d_s16_params *params, const int16_t *input, int16_t *output, void *scratch) {
    (void)scratch;
    te_convolve_s16(te_requantise_s64, params, input, output);
}

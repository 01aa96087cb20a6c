/* SPDX-License-Identifier: Apache-2.0 */
#include "te_convolve_s16.h"
#include "te_dots_s16_dsp.h"

void te_conv2d_low_s16_dsp(const te_conv2d_s16_params *params, const int16_t *input, int16_t *output,
                             void *scratch) {
    const te_convolve_sums made = {te_dots1_s16_dsp, te_dots2_s16_dsp, te_requantise_low};
    (void)scratch;
    te_convolve_s16(made, params, input, output);
}

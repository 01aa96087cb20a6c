/* SPDX-License-Identifier: Apache-2.0 */
#include "te_sum_s16_dsp.h"

void te_sub_s16_dsp(const te_add_s16_dsp_params *params, const int16_t *scaled, const int16_t *exact, int16_t *output,
                    void *scratch) {
    (void)scratch;
    if (params->scaled_is_subtracted) {
        te_sums_s16(params, scaled, exact, output, TE_SCALED);
    } else {
        te_sums_s16(params, scaled, exact, output, TE_EXACT);
    }
}

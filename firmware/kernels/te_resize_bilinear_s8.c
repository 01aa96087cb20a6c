/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"

/* A share is a number of 1024ths, so a product of two is one of 2^20ths. */
#define ONE 1024
#define WHOLE (1 << 20)

/** One output row from the two input rows on either side, `share` of which is the second's. */
static int8_t *resize_row(const te_resize_bilinear_params *params, const int8_t *above, const int8_t *below,
                          int32_t share, int8_t *output) {
    const int32_t channels = params->channels;
    for (int32_t x = 0; x < params->out_w; ++x) {
        const int8_t *above_left = above + params->columns[2 * x];
        const int8_t *above_right = above + params->columns[2 * x + 1];
        const int8_t *below_left = below + params->columns[2 * x];
        const int8_t *below_right = below + params->columns[2 * x + 1];
        const int32_t right_share = params->column_shares[x];
        const int32_t share_br = share * right_share;
        const int32_t share_bl = share * ONE - share_br;
        const int32_t share_ar = right_share * ONE - share_br;
        const int32_t share_al = WHOLE - share_bl - share_ar - share_br;
        for (const int8_t *end = output + channels; output < end; ++output) {
            const int32_t sum = *above_left++ * share_al + *above_right++ * share_ar + *below_left++ * share_bl +
                                *below_right++ * share_br;
            *output = (int8_t)((sum + (sum >> 31) + WHOLE / 2) >> 20); /* Half away from zero. */
        }
    }
    return output;
}

void te_resize_bilinear_s8(const te_resize_bilinear_params *params, const int8_t *input, int8_t *output,
                           void *scratch) {
    (void)scratch;
    for (int32_t image = 0; image < params->images; ++image) {
        for (int32_t y = 0; y < params->out_h; ++y) {
            const int8_t *above = input + params->rows[2 * y];
            const int8_t *below = input + params->rows[2 * y + 1];
            output = resize_row(params, above, below, params->row_shares[y], output);
        }
        input += params->image;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise3_s8_dsp.h"
#include "te_dsp.h"

/* Words of a channel with nine weights whose bias has a word of its own. */
#define TE_DEPTHWISE3_WIDE 5

/** Weights a, b and c of a row as the words (a, b) and (b, c). */
static void unpack_row(uint32_t weights[2], const int8_t *row) {
    const uint32_t bytes = te_load4(row);
    const uint32_t outer = te_even_bytes(bytes);
    const uint32_t middle = te_odd_bytes(bytes);
    weights[0] = (outer & 0xffffu) | middle << 16;
    weights[1] = (middle & 0xffffu) | (outer & 0xffff0000u);
}

/** The constants of up to four channels, widened once for all rows. */
static void unpack3(te_depthwise3_channel *channels, const uint32_t *packed, const te_depthwise_conv2d_dsp_params *params,
                    int32_t count) {
    const int32_t words = params->words;
    for (int32_t c = 0; c < count; ++c) {
        const uint32_t right_shift = (packed[2] >> 8) & 0x1fu;
        for (int32_t row = 0; row < 3; ++row) {
            unpack_row(channels->weights + 2 * row, (const int8_t *)packed + 3 * row);
        }
        channels->bias = words == TE_DEPTHWISE3_WIDE ? (int32_t)packed[4] : (int32_t)packed[2] >> 13;
        channels->multiplier = (int32_t)packed[3];
        te_set_rounding(channels, (int32_t)right_shift, params);
        ++channels;
        packed += words;
    }
}

#define TE_UNPACK3 unpack3
#include "te_depthwise3_layer_dsp.h"

void te_depthwise_conv2d_s8_dsp(const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int8_t *output,
                                void *scratch) {
    te_depthwise3_layer_dsp(params, input, output, scratch);
}

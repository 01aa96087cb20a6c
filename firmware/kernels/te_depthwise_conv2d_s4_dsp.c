/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise3_s8_dsp.h"
#include "te_dsp.h"

/* Words of a channel whose bias has a word of its own. */
#define TE_DEPTHWISE3_WIDE 4

/** The weight in the lowest 4 bits, times 2^raised. */
static int32_t weight(uint32_t halves, int32_t raised) {
    return ((int32_t)((halves & 15u) ^ 8u) - 8) * (1 << raised);
}

/** The constants of up to four channels, widened once for all rows. */
static void unpack3(te_depthwise3_channel *channels, const uint32_t *packed, const te_depthwise_conv2d_dsp_params *params,
                    int32_t count) {
    const int32_t words = params->words;
    for (int32_t c = 0; c < count; ++c) {
        const uint32_t right_shift = (packed[1] >> 4) & 0x1fu;
        const int32_t raised = (int32_t)((packed[1] >> 9) & 15u);
        uint32_t halves = packed[0];
        for (int32_t row = 0; row < 3; ++row) {
            const int32_t middle = weight(halves >> 4, raised);
            channels->weights[2 * row] = te_pack(weight(halves, raised), middle);
            channels->weights[2 * row + 1] = te_pack(middle, weight(row < 2 ? halves >> 8 : packed[1], raised));
            halves >>= 12;
        }
        channels->bias = words == TE_DEPTHWISE3_WIDE ? (int32_t)packed[3] : ((int32_t)packed[1] >> 13) * (1 << raised);
        channels->multiplier = (int32_t)packed[2];
        te_set_rounding(channels, (int32_t)right_shift, params);
        ++channels;
        packed += words;
    }
}

#define TE_UNPACK3 unpack3
#include "te_depthwise3_layer_dsp.h"

void te_depthwise_conv2d_s4_dsp(const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int8_t *output,
                                void *scratch) {
    te_depthwise3_layer_dsp(params, input, output, scratch);
}

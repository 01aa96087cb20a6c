/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise3_s8_dsp.h"
#include "te_dsp.h"

/* Words of a channel with nine weights whose bias has a word of its own. */
#define TE_DEPTHWISE3_WIDE 5

/** Weights a, b and c of each row as the words (a, b) and (b, c). */
static inline void unpack_weights(uint32_t weights[6], const uint32_t *packed) {
    const uint32_t a0a2 = te_even_bytes(packed[0]);
    const uint32_t a1b0 = te_odd_bytes(packed[0]);
    const uint32_t b1c0 = te_even_bytes(packed[1]);
    const uint32_t b2c1 = te_odd_bytes(packed[1]);
    weights[0] = te_low_halves(a0a2, a1b0);
    weights[1] = (a1b0 & 0xffffu) | (a0a2 & 0xffff0000u);
    weights[2] = te_low_halves(a1b0 >> 16, b1c0);
    weights[3] = te_low_halves(b1c0, b2c1);
    weights[4] = te_high_halves(b1c0, b2c1);
    weights[5] = te_low_halves(b2c1 >> 16, te_even_bytes(packed[2]));
}

/** The constants of up to four channels, widened once for all rows. */
static void unpack3(te_depthwise3_channel *channels, const uint32_t *packed, const te_depthwise_conv2d_dsp_params *params,
                    int32_t count) {
    const int32_t words = params->words;
    for (int32_t c = 0; c < count; ++c) {
        const uint32_t right_shift = (packed[2] >> 8) & 0x1fu;
        unpack_weights(channels->weights, packed);
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

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "te_taps_s8_dsp.h"

/** Words of a channel that has `words` when it is unpacked. */
static int32_t packed_words(int32_t words) {
    return TE_TAPS_REQUANTISATION_WORDS + (words - TE_TAPS_REQUANTISATION_WORDS + 1) / 2;
}

/** The lower half of each byte less 8. */
static uint32_t lower_halves(uint32_t halves) {
    return (((halves & 0x0f0f0f0fu) | 0x80808080u) - 0x08080808u) ^ 0x80808080u;
}

static const uint32_t *unpack(const uint32_t *packed, int32_t words, int32_t channels, uint32_t *spare) {
    uint32_t *to = spare;
    for (; channels > 0; --channels) {
        int32_t left = words;
        for (; left > words - TE_TAPS_REQUANTISATION_WORDS; --left) {
            *to++ = *packed++;
        }
        for (; left > 0; left -= 2) {
            const uint32_t two = *packed++;
            *to++ = lower_halves(two);
            if (left > 1) {
                *to++ = lower_halves(two >> 4);
            }
        }
    }
    return spare;
}

#define TE_TAPS_PACKED_WORDS packed_words
#define TE_TAPS_STREAMS unpack
#include "te_depthwise_taps_layer_dsp.h"

void te_depthwise_taps_s4_dsp(const te_depthwise_taps_dsp_params *params, const int8_t *input, int8_t *output,
                              void *scratch) {
    te_depthwise_taps_layer_dsp(params, input, output, scratch);
}

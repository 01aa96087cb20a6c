/* SPDX-License-Identifier: Apache-2.0 */
/* The streams are read where they lie. */
#define TE_TAPS_PACKED_WORDS(words) (words)
#define TE_TAPS_STREAMS(packed, words, channels, spare) (packed)
#include "te_depthwise_taps_layer_dsp.h"

void te_depthwise_taps_s8_dsp(const te_depthwise_taps_dsp_params *params, const int8_t *input, int8_t *output,
                              void *scratch) {
    te_depthwise_taps_layer_dsp(params, input, output, scratch);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_requantise.h"

/* A table of 513 points over the int16 range, 128 apart, with straight lines between them. */
static int32_t interpolate(const int16_t *table, int32_t x) {
    const int32_t point = (x >> 7) + 256;
    const int32_t slope = table[point + 1] - table[point];
    return table[point] + ((slope * (x & 127) + 64) >> 7);
}

static int32_t leading_zeros(uint32_t x) {
    int32_t zeros = 0;
    while (zeros < 32 && (x & 0x80000000u) == 0) {
        x <<= 1;
        ++zeros;
    }
    return zeros;
}

void te_softmax_s16(const te_softmax_s16_params *params, const int16_t *input, int16_t *output, void *scratch) {
    const int32_t depth = params->depth;
    (void)scratch;

    for (int32_t row = 0; row < params->rows; ++row) {
        int32_t largest = INT16_MIN;
        for (int32_t i = 0; i < depth; ++i) {
            largest = input[i] > largest ? input[i] : largest;
        }
        int32_t sum = 0;
        for (int32_t i = 0; i < depth; ++i) {
            const int32_t below = te_requantise(input[i] - largest, params->multiplier, params->shift);
            output[i] = (int16_t)interpolate(params->exps, te_clamp_s16(below + INT16_MAX, INT16_MIN, INT16_MAX));
            sum += output[i];
        }
        /* sum = 2^(31 - zeros) * (1 + x), so that the table need only hold 1 / (1 + x) for x in [0, 1). */
        const int32_t zeros = leading_zeros((uint32_t)sum);
        const int32_t one_plus_x = (int32_t)((((int64_t)sum << (zeros - 1)) + (1 << 13)) >> 14); /* Of 16 bits. */
        const int32_t centred = one_plus_x - (1 << 16) - (1 << 15);
        const int32_t reciprocal = interpolate(params->reciprocals, te_clamp_s16(centred, INT16_MIN, INT16_MAX));
        const int32_t right = 31 - zeros;
        for (int32_t i = 0; i < depth; ++i) {
            /* Both operands are below 2^15. */
            const int32_t share = (output[i] * reciprocal + (1 << (right - 1))) >> right;
            output[i] = te_clamp_s16(share, 0, INT16_MAX);
        }
        input += depth;
        output += depth;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"

/** A table of 513 points over the int16 range, 128 apart, with straight lines between them.
 *  @param centre  The point of 0. */
static inline int32_t interpolate(const int16_t *centre, int32_t x) {
    /* Both points as one word, times 128 - fraction and fraction. */
    const uint32_t points = te_load4(centre + (x >> 7));
    const uint32_t fraction = (uint32_t)x & 127u;
    return te_dual_mac(points, fraction * 0xffffu + 128u, 64) >> 7;
}

static int32_t largest_of(const int16_t *input, int32_t depth) {
    uint32_t two = 0x80008000u;
    for (; depth >= 2; depth -= 2) {
        two = te_max_halves(two, te_load4(input));
        input += 2;
    }
    const int32_t largest = te_low(te_max_halves(two, two >> 16));
    return depth > 0 && *input > largest ? *input : largest;
}

typedef struct {
    const int16_t *centre;
    int32_t largest;
    int32_t left_shift;
    int32_t multiplier; /**< As te_rounded_high_plus() takes it. */
    int32_t rounding;   /**< INT16_MAX, and less than half of the last bit that it shifts out. */
    int32_t right_shift;
} exponential;

static inline int32_t exp_of(int32_t value, const exponential *how) {
    const int32_t below = (value - how->largest) * (1 << how->left_shift);
    /* At most 0, of which halves are rounded away from zero, that is down. */
    const int32_t scaled = te_rounded_high_plus(below, how->multiplier);
    const int32_t x = (scaled + how->rounding) >> how->right_shift;
    return interpolate(how->centre, te_saturate16(x));
}

/** Writes exp() of each value less the largest, as a fraction of 2^15, and returns their sum. */
static int32_t write_exps(const exponential *how, const int16_t *input, int16_t *output, int32_t depth) {
    int32_t sum = 0;
    for (; depth >= 2; depth -= 2) {
        const uint32_t values = te_load4(input);
        const int32_t low = exp_of(te_low(values), how);
        const int32_t high = exp_of(te_high(values), how);
        te_store4(output, te_low_halves((uint32_t)low, (uint32_t)high));
        sum += low + high;
        input += 2;
        output += 2;
    }
    if (depth > 0) {
        *output = (int16_t)exp_of(*input, how);
        sum += *output;
    }
    return sum;
}

/** Multiplies exponentials by the reciprocal of their sum, both below 2^15, and shifts them. */
static void scale_exps(int16_t *exps, int32_t depth, int32_t reciprocal, int32_t right_shift) {
    const uint32_t low_factor = (uint32_t)reciprocal;
    const uint32_t high_factor = (uint32_t)reciprocal << 16;
    const int32_t half = 1 << (right_shift - 1);
    for (; depth >= 2; depth -= 2) {
        const uint32_t two = te_load4(exps);
        const int32_t low = te_dual_mac(two, low_factor, half) >> right_shift;
        const int32_t high = te_dual_mac(two, high_factor, half) >> right_shift;
        te_store4(exps, te_low_halves(te_saturate_unsigned15(low), te_saturate_unsigned15(high)));
        exps += 2;
    }
    if (depth > 0) {
        *exps = (int16_t)te_saturate_unsigned15((*exps * reciprocal + half) >> right_shift);
    }
}

void te_softmax_s16_dsp(const te_softmax_s16_params *params, const int16_t *input, int16_t *output, void *scratch) {
    const int32_t depth = params->depth;
    const int32_t shift = params->shift;
    exponential how;
    (void)scratch;
    how.centre = params->exps + 256;
    how.left_shift = shift > 0 ? shift : 0;
    how.multiplier = (int32_t)((uint32_t)params->multiplier << 1);
    how.right_shift = shift < 0 ? -shift : 0;
    how.rounding = INT16_MAX * (1 << how.right_shift) + (shift < 0 ? (1 << (how.right_shift - 1)) - 1 : 0);
    for (int32_t row = params->rows; row > 0; --row) {
        how.largest = largest_of(input, depth);
        const uint32_t sum = (uint32_t)write_exps(&how, input, output, depth);
        /* sum = 2^(31 - zeros) * (1 + x), so that the table need only hold 1 / (1 + x) for x in [0, 1). */
        const int32_t zeros = te_count_leading_zeros(sum);
        const int32_t one_plus_x = (int32_t)(((sum << (zeros - 1)) + (1u << 13)) >> 14); /* Of 16 bits. */
        const int32_t centred = te_saturate16(one_plus_x - (1 << 16) - (1 << 15));
        scale_exps(output, depth, interpolate(params->reciprocals + 256, centred), 31 - zeros);
        input += depth;
        output += depth;
    }
}

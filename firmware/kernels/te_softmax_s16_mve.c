/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_mve.h"
#include "te_requantise.h"

/* An argument of the table is [0, 65535], from 2^15 below the middle of the table on. */
#define TOP 65535

/** A table of 513 points, 128 apart, with straight lines between them. */
static inline int32_t interpolate(const int16_t *table, int32_t x) {
    const int16_t *point = table + (x >> 7);
    return point[0] + (((point[1] - point[0]) * (x & 127) + 64) >> 7);
}

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

static int32_t largest_of(const int16_t *input, int32_t depth) {
    int32_t largest = INT16_MIN;
    __asm__ volatile("wlstp.16 lr, %[depth], 2f\n"
                     "1:\n\t"
                     "vldrh.16 q0, [%[input]], #16\n\t"
                     "vmaxv.s16 %[largest], q0\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [largest] "+r"(largest), [input] "+r"(input)
                     : [depth] "r"(depth)
                     : "lr", "q0", "memory");
    return largest;
}

/** Writes exp() of each value less the largest, as a fraction of 2^15, and returns their sum. */
static int32_t write_exps(const te_softmax_s16_params *params, const int16_t *input, int16_t *output) {
    const int32_t shift = params->shift;
    const int32_t right = shift < 0 ? -shift : 0;
    /* What is shifted is at most 0, of which halves go down. */
    const int32_t rounding = TOP * (1 << right) + (shift < 0 ? (1 << (right - 1)) - 1 : 0);
    const int32x4_t largest = vdupq_n_s32(largest_of(input, params->depth));
    const int32x4_t least = vdupq_n_s32(0);
    const int32x4_t fraction = vdupq_n_s32(127);
    const int32x4_t right_shift = vdupq_n_s32(-right);
    int32_t sum = 0;
    __asm__ volatile("wlstp.32 lr, %[depth], 2f\n"
                     "1:\n\t"
                     "vldrh.s32 q0, [%[input]], #8\n\t"
                     "vsub.i32 q0, q0, %q[largest]\n\t"
                     "vshl.s32 q0, %[left_shift]\n\t"
                     "vqrdmulh.s32 q0, q0, %[multiplier]\n\t"
                     "vadd.i32 q0, q0, %[rounding]\n\t"
                     "vshl.s32 q0, q0, %q[right_shift]\n\t"
                     "vmax.s32 q0, q0, %q[least]\n\t"
                     "vshr.u32 q1, q0, #7\n\t"
                     "vldrh.s32 q2, [%[points], q1, uxtw #1]\n\t"
                     "vldrh.s32 q3, [%[next_points], q1, uxtw #1]\n\t"
                     "vand q0, q0, %q[fraction]\n\t"
                     "vsub.i32 q3, q3, q2\n\t"
                     "vmul.i32 q3, q3, q0\n\t"
                     "vrshr.s32 q3, q3, #7\n\t"
                     "vadd.i32 q2, q2, q3\n\t"
                     "vstrh.32 q2, [%[output]], #8\n\t"
                     "vaddva.s32 %[sum], q2\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [sum] "+Te"(sum), [input] "+l"(input), [output] "+l"(output)
                     : [depth] "r"(params->depth), [left_shift] "r"(shift > 0 ? shift : 0), [multiplier] "r"(params->multiplier),
                       [rounding] "r"(rounding), [points] "r"(params->exps),
                       [next_points] "r"(params->exps + 1), [largest] "w"(largest), [least] "w"(least),
                       [fraction] "w"(fraction), [right_shift] "w"(right_shift)
                     : "lr", "q0", "q1", "q2", "q3", "memory");
    return sum;
}

/** Multiplies exponentials by the reciprocal of their sum, both below 2^15, and shifts them. */
static void scale_exps(int16_t *exps, int32_t depth, int32_t reciprocal, int32_t right_shift) {
    __asm__ volatile("wlstp.32 lr, %[depth], 2f\n"
                     "1:\n\t"
                     "vldrh.s32 q0, [%[exps]]\n\t"
                     "vmul.i32 q0, q0, %[reciprocal]\n\t"
                     "vrshl.s32 q0, %[left_shift]\n\t"
                     "vqmovnb.s32 q0, q0\n\t"
                     "vstrh.32 q0, [%[exps]], #8\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [exps] "+l"(exps)
                     : [depth] "r"(depth), [reciprocal] "r"(reciprocal), [left_shift] "r"(-right_shift)
                     : "lr", "q0", "memory");
}

#else /* The same in C, one value at a time. */

static int32_t write_exps(const te_softmax_s16_params *params, const int16_t *input, int16_t *output) {
    int32_t largest = INT16_MIN;
    int32_t sum = 0;
    for (int32_t i = 0; i < params->depth; ++i) {
        largest = input[i] > largest ? input[i] : largest;
    }
    for (int32_t i = 0; i < params->depth; ++i) {
        const int32_t x = TOP + te_requantise(input[i] - largest, params->multiplier, params->shift);
        output[i] = (int16_t)interpolate(params->exps, x < 0 ? 0 : x);
        sum += output[i];
    }
    return sum;
}

static void scale_exps(int16_t *exps, int32_t depth, int32_t reciprocal, int32_t right_shift) {
    for (int32_t i = 0; i < depth; ++i) {
        exps[i] = te_clamp_s16(te_rounding_shift(exps[i] * reciprocal, right_shift), 0, INT16_MAX);
    }
}

#endif

void te_softmax_s16_mve(const te_softmax_s16_params *params, const int16_t *input, int16_t *output, void *scratch) {
    (void)scratch;
    for (int32_t row = params->rows; row > 0; --row) {
        const uint32_t sum = (uint32_t)write_exps(params, input, output);
        /* sum = 2^(31 - zeros) * (1 + x), so that the table need only hold 1 / (1 + x) for x in [0, 1). */
        const int32_t zeros = te_leading_zeros_mve(sum);
        const int32_t one_plus_x = (int32_t)(((sum << (zeros - 1)) + (1u << 13)) >> 14); /* Of 16 bits. */
        const int32_t above = one_plus_x - (1 << 16);
        const int32_t reciprocal = interpolate(params->reciprocals, above < TOP ? above : TOP);
        scale_exps(output, params->depth, reciprocal, 31 - zeros);
        input += params->depth;
        output += params->depth;
    }
}

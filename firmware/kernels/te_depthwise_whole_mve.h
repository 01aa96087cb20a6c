/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise_whole_mve.h
 *  The windows of te_depthwise_whole_s8_mve(), with the width of weights left open: TE_WEIGHT_BITS of them, 8, or 4 with a
 *  byte for two pixels. */
#ifndef TE_DEPTHWISE_WHOLE_MVE_H
#define TE_DEPTHWISE_WHOLE_MVE_H

#include "te_kernels.h"
#include "te_mve.h"
#include "te_nibbles.h"
#include "te_requantise.h"

/** Channels of a stream. */
#define LANES 8
/** Words of a stream before its weights. */
#define CONSTANT_WORDS 32

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

/** @param constants  Four multipliers; four roundings and four shifts 8 and 16 words further. */
static inline int32x4_t finish(int32x4_t sums, const int32_t *constants) {
    const int32x4_t scaled = vqrdmulhq_s32(sums, vldrwq_s32(constants));
    const int32x4_t rounding = vaddq_s32(vshrq_n_s32(sums, 31), vldrwq_s32(constants + 8));
    return vshrq_n_s32(vqshlq_s32(vaddq_s32(scaled, rounding), vldrwq_s32(constants + 16)), 24);
}

#if TE_WEIGHT_BITS == 4
/* Weights of the first of two pixels to q2. */
#define TE_WHOLE_LOWER_HALVES          \
    "vldrb.s16 q1, [%[weights]], #8\n\t" \
    "vshl.i16 q2, q1, #12\n\t"          \
    "vshr.s16 q2, q2, #12\n\t"
#define TE_WHOLE_ADD                             \
    "vpst\n\t"                                   \
    "vldrbt.s16 q0, [%[input]]\n\t"              \
    "add %[input], %[input], %[step]\n\t"        \
    "vmullb.s16 q3, q0, q2\n\t"                  \
    "vmullt.s16 q0, q0, q2\n\t"                  \
    "vadd.i32 %q[even], %q[even], q3\n\t"        \
    "vadd.i32 %q[odd], %q[odd], q0\n\t"
#endif

/** Eight channels of a window, or fewer if fewer are left. */
static void make_channels(const te_depthwise_whole_mve_params *params, const int32_t *stream, const int8_t *input,
                          int32_t left, int8_t *output) {
    const int32_t *weights = stream + CONSTANT_WORDS;
    int32x4_t even = vldrwq_s32(stream);
    int32x4_t odd = vldrwq_s32(stream + 4);
#if TE_WEIGHT_BITS == 8
    __asm__ volatile("vctp.16 %[left]\n\t"
                     "dls lr, %[pixels]\n"
                     "1:\n\t"
                     "vpst\n\t"
                     "vldrbt.s16 q0, [%[input]]\n\t"
                     "vldrb.s16 q1, [%[weights]], #8\n\t"
                     "add %[input], %[input], %[step]\n\t"
                     "vmullb.s16 q2, q0, q1\n\t"
                     "vmullt.s16 q0, q0, q1\n\t"
                     "vadd.i32 %q[even], %q[even], q2\n\t"
                     "vadd.i32 %q[odd], %q[odd], q0\n\t"
                     "le lr, 1b"
                     : [even] "+w"(even), [odd] "+w"(odd), [input] "+l"(input), [weights] "+l"(weights)
                     : [left] "r"(left), [pixels] "r"(params->pixels), [step] "r"(params->pixel_bytes)
                     : "lr", "q0", "q1", "q2", TE_PREDICATE_CLOBBER "memory");
#else
    __asm__ volatile("vctp.16 %[left]\n\t"
                     "wls lr, %[pairs], 2f\n"
                     "1:\n\t" TE_WHOLE_LOWER_HALVES TE_WHOLE_ADD
                     "vshr.s16 q2, q1, #4\n\t" TE_WHOLE_ADD
                     "le lr, 1b\n"
                     "2:"
                     : [even] "+w"(even), [odd] "+w"(odd), [input] "+l"(input), [weights] "+l"(weights)
                     : [left] "r"(left), [pairs] "r"(params->pixels >> 1), [step] "r"(params->pixel_bytes)
                     : "lr", "q0", "q1", "q2", "q3", TE_PREDICATE_CLOBBER "memory");
    if ((params->pixels & 1) != 0) {
        __asm__ volatile("vctp.16 %[left]\n\t" TE_WHOLE_LOWER_HALVES TE_WHOLE_ADD
                         : [even] "+w"(even), [odd] "+w"(odd), [input] "+l"(input), [weights] "+l"(weights)
                         : [left] "r"(left), [step] "r"(params->pixel_bytes)
                         : "q0", "q1", "q2", "q3", TE_PREDICATE_CLOBBER "memory");
    }
#endif
    even = finish(even, stream + 8);
    odd = finish(odd, stream + 12);
    int16x8_t outputs = vmovntq_s32(vreinterpretq_s16_s32(even), odd);
    outputs = vmaxq_s16(outputs, vdupq_n_s16((int16_t)params->output_min));
    outputs = vminq_s16(outputs, vdupq_n_s16((int16_t)params->output_max));
    vstrbq_p_s16(output, outputs, vctp16q((uint32_t)left));
}

#else /* The same in C, one channel at a time. */

static void make_channels(const te_depthwise_whole_mve_params *params, const int32_t *stream, const int8_t *input,
                          int32_t left, int8_t *output) {
    const int8_t *weights = (const int8_t *)(stream + CONSTANT_WORDS);
    for (int32_t lane = 0; lane < LANES && lane < left; ++lane) {
        const int32_t *constants = stream + 4 * (lane & 1) + (lane >> 1);
        int32_t sum = constants[0];
        for (int32_t pixel = 0; pixel < params->pixels; ++pixel) {
#if TE_WEIGHT_BITS == 8
            const int32_t weight = weights[LANES * pixel + lane];
#else
            const int8_t both = weights[LANES * (pixel >> 1) + lane];
            const int32_t weight = (pixel & 1) == 0 ? te_low_nibble(both) : te_high_nibble(both);
#endif
            sum += input[pixel * params->pixel_bytes + lane] * weight;
        }
        sum = te_requantise_mve(sum, constants[8], constants[16], constants[24]);
        output[lane] = te_clamp(sum, params->output_min, params->output_max);
    }
}

#endif

static void te_depthwise_whole_mve(const te_depthwise_whole_mve_params *params, const int8_t *input, int8_t *output) {
    const int32_t weight_words = LANES / 4 * ((params->pixels * TE_WEIGHT_BITS + 7) / 8);
    const int32_t stream_words = CONSTANT_WORDS + weight_words;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        const int8_t *window = input + batch * params->image_bytes;
        for (int32_t windows = params->windows; windows > 0; --windows) {
            const int32_t *stream = params->packed;
            for (int32_t channel = 0; channel < params->channels; channel += LANES) {
                make_channels(params, stream, window + channel, params->channels - channel, output + channel);
                stream += stream_words;
            }
            window += params->window_bytes;
            output += params->channels;
        }
    }
}

#endif /* TE_DEPTHWISE_WHOLE_MVE_H */

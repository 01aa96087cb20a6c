/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_mve.h"
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

/** Eight channels of a window, or fewer if fewer are left. */
static void make_channels(const te_depthwise_whole_mve_params *params, const int32_t *stream, const int8_t *input,
                          int32_t left, int8_t *output) {
    const int32_t *weights = stream + CONSTANT_WORDS;
    int32x4_t even = vldrwq_s32(stream);
    int32x4_t odd = vldrwq_s32(stream + 4);
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
            sum += input[pixel * params->pixel_bytes + lane] * weights[LANES * pixel + lane];
        }
        sum = te_requantise_mve(sum, constants[8], constants[16], constants[24]);
        output[lane] = te_clamp(sum, params->output_min, params->output_max);
    }
}

#endif

void te_depthwise_whole_s8_mve(const te_depthwise_whole_mve_params *params, const int8_t *input, int8_t *output,
                               void *scratch) {
    const int32_t stream_words = CONSTANT_WORDS + LANES / 4 * params->pixels;
    (void)scratch;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise_windows_s16.h"
#include "te_dsp.h"
#include "te_kernels.h"
#include "te_mve.h"

/** Channels of one vector of values, and so of a stream. */
#define LANES 8
/** Words of a stream before its weights: four even biases, four odd ones, and multipliers likewise. */
#define CONSTANT_WORDS 16

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

static void convolve_eight(const te_depthwise_conv2d_narrow_s16_mve_params *params, const te_tap_grid *grid,
                           const int16_t *input, const int8_t *weights, const int32_t *stream, int16_t *output) {
    const int32_t row = grid->input_row;
    const int32_t weights_row = grid->weights_row;
    int32x4_t even = vldrwq_s32(stream);
    int32x4_t odd = vldrwq_s32(stream + 4);
    for (int32_t y = grid->height; y > 0; --y) {
        __asm__ volatile("dls lr, %[width]\n"
                         "1:\n\t"
                         "vldrh.16 q0, [%[input]]\n\t"
                         "vldrb.s16 q1, [%[weights]], #8\n\t"
                         "vmullb.s16 q2, q0, q1\n\t"
                         "vmullt.s16 q0, q0, q1\n\t"
                         "vadd.i32 %q[even], %q[even], q2\n\t"
                         "vadd.i32 %q[odd], %q[odd], q0\n\t"
                         "add %[input], %[input], %[step]\n\t"
                         "le lr, 1b"
                         : [even] "+w"(even), [odd] "+w"(odd), [input] "+r"(input), [weights] "+l"(weights)
                         : [width] "r"(grid->width), [step] "r"(2 * grid->input_step)
                         : "lr", "q0", "q1", "q2");
        input += row;
        weights += weights_row;
    }
    even = vrmulhq_s32(even, vldrwq_s32(stream + 8)); /* round(sum * multiplier / 2^32) */
    odd = vrmulhq_s32(odd, vldrwq_s32(stream + 12));
    int16x8_t outputs = vqmovnbq_s32(vreinterpretq_s16_s32(even), even);
    outputs = vqmovntq_s32(outputs, odd);
    outputs = vmaxq_s16(outputs, vdupq_n_s16((int16_t)params->output_min));
    outputs = vminq_s16(outputs, vdupq_n_s16((int16_t)params->output_max));
    vstrhq_s16(output, outputs);
}

#define TAP_OF_COLUMN(column)              \
    "vldrh.16 q0, [" column "]\n\t"        \
    "vldrb.s16 q1, [r4], #8\n\t"           \
    "vmullb.s16 q2, q0, q1\n\t"            \
    "vmullt.s16 q0, q0, q1\n\t"            \
    "vadd.i32 q3, q3, q2\n\t"              \
    "vadd.i32 q4, q4, q0\n\t"              \
    "add " column ", " column ", r6\n\t"

/** Windows of three columns of filters of as many, a row of taps at a time.
 *  @param how  (8) As LDM loads them: bytes from one tap to the next, bytes from a row of taps to the next, rows, bytes of a
 *              stream, bytes from its begin to its weights under the first tap, streams, and the range of the outputs.
 *
 *  No push: the compiler would not count it where the stack of a model is asked for; and no part of a loop, which would
 *  leave too few registers. */
static __attribute__((noinline)) void convolve_three_columns(const int32_t *how, const int16_t *input,
                                                             const int32_t *stream, int16_t *output) {
    register const int32_t *r0 __asm__("r0") = how;
    register const int16_t *r1 __asm__("r1") = input;
    register const int32_t *r2 __asm__("r2") = stream;
    register int16_t *r3 __asm__("r3") = output;
    __asm__ volatile("ldrd r4, r5, [r0, #24]\n\t"
                     "vdup.16 q5, r4\n\t"
                     "vdup.16 q6, r5\n\t"
                     "ldm r0, {r5, r6, r8, r9, r10, r11}\n\t"
                     "vmov s28, r8\n"
                     "1:\n\t"
                     "vldrw.32 q3, [r2]\n\t"
                     "add r4, r2, r10\n\t"
                     "vldrw.32 q4, [r2, #16]\n\t"
                     "mov r0, r1\n\t"
                     "add r12, r1, r5\n\t"
                     "add r8, r12, r5\n\t"
                     "vmov lr, s28\n\t"
                     "dls lr, lr\n"
                     "2:\n\t" TAP_OF_COLUMN("r0") TAP_OF_COLUMN("r12") TAP_OF_COLUMN("r8")
                     "le lr, 2b\n\t"
                     "vldrw.32 q0, [r2, #32]\n\t"
                     "vldrw.32 q1, [r2, #48]\n\t"
                     "vrmulh.s32 q3, q3, q0\n\t"
                     "vrmulh.s32 q4, q4, q1\n\t"
                     "vqmovnb.s32 q3, q3\n\t"
                     "vqmovnt.s32 q3, q4\n\t"
                     "vmax.s16 q3, q3, q5\n\t"
                     "vmin.s16 q3, q3, q6\n\t"
                     "add r2, r2, r9\n\t"
                     "vstrh.16 q3, [r3], #16\n\t"
                     "add r1, r1, #16\n\t"
                     "subs r11, r11, #1\n\t"
                     "bne 1b"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7",
                       "cc", "memory");
}

#else /* The same in C, one channel at a time. */

static void convolve_eight(const te_depthwise_conv2d_narrow_s16_mve_params *params, const te_tap_grid *grid,
                           const int16_t *input, const int8_t *weights, const int32_t *stream, int16_t *output) {
    for (int32_t lane = 0; lane < LANES; ++lane) {
        const int32_t *constants = stream + 4 * (lane & 1) + (lane >> 1);
        const int16_t *value = input + lane;
        const int8_t *tap = weights + lane;
        int32_t sum = constants[0];
        for (int32_t y = grid->height; y > 0; --y) {
            for (int32_t x = grid->width; x > 0; --x) {
                sum += *value * *tap;
                value += grid->input_step;
                tap += LANES;
            }
            value += grid->input_row;
            tap += grid->weights_row;
        }
        sum = te_rounded_high(sum, constants[8]);
        sum = sum < params->output_min ? params->output_min : sum;
        output[lane] = (int16_t)(sum > params->output_max ? params->output_max : sum);
    }
}

#endif

/** All channels of one pixel, the last ones of a number that is no multiple of eight together with some before them.
 *  @param weights  Of the first stream. */
static void convolve_pixel(const void *opaque, const te_tap_grid *grid, const int16_t *input, const int8_t *weights,
                           int16_t *output) {
    const te_depthwise_conv2d_narrow_s16_mve_params *params = opaque;
    const int32_t stream_words = params->stream_words;
    const int32_t channels = params->window.in_c;
    const int32_t *stream = params->packed;
#if TE_MVE_ASSEMBLY
    if (grid->height > 0 && grid->width == 3 && grid->weights_row == 0) {
        const int32_t step = 2 * grid->input_step;
        const int32_t row = 2 * grid->input_row + 3 * step;
        const int32_t first_tap = (int32_t)(weights - (const int8_t *)stream);
        int32_t how[8] = {step, row, grid->height, 4 * stream_words, first_tap, channels / LANES, params->output_min,
                          params->output_max};
        convolve_three_columns(how, input, stream, output);
        if (channels % LANES != 0) {
            const int32_t last = channels - LANES;
            stream += how[5] * stream_words;
            how[5] = 1;
            convolve_three_columns(how, input + last, stream, output + last);
        }
        return;
    }
#endif
    const int32_t last = channels - LANES;
    for (int32_t next = 0; next < channels; next += LANES) {
        const int32_t channel = next < last ? next : last;
        convolve_eight(params, grid, input + channel, weights, stream, output + channel);
        stream += stream_words;
        weights += 4 * stream_words;
    }
}

void te_depthwise_conv2d_narrow_s16_mve(const te_depthwise_conv2d_narrow_s16_mve_params *params, const int16_t *input,
                                        int16_t *output, void *scratch) {
    const int8_t *weights = (const int8_t *)(params->packed + CONSTANT_WORDS);
    (void)scratch;
    te_for_each_window_s16(&params->window, weights, LANES, convolve_pixel, params, input, output);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_assembly.h"
#include "te_dsp.h"
#include "te_kernels.h"

/** What the sums of all channels share. */
typedef struct {
    int32_t channels;  /**< In fours. */
    int32_t pixels;    /**< At least 1. */
    int32_t unit_half; /**< Twice the output's zero point, and one. */
} whole;

/** Every output of the channels. */
void te_whole_sums_dsp(const whole *of, const uint32_t *stream, const int8_t *input, int8_t *output);

#if TE_DSP_ASSEMBLY

/* r0 the stream, r1 pixels, r2 bytes to the next pixel, r3 pairs of pixels left, r4-r7 accumulators of four channels. On the
 * stack: 0 pairs of pixels, 4 one where a pixel is left, 8 channels left, 12 of all, 16 the four's first pixel,
 * 20 output, 24 twice the zero point and one. Two pixels of four channels are 20 instructions for 8 multiply-accumulates. */
__asm__(
    ".syntax unified\n"
    /* r12 the right shifts less one, r2 the output, r3 twice the zero point and one. */
    ".macro te_whole_output sum:req, multiplier:req, bit:req\n"
    "    smmlar \\sum, \\sum, \\multiplier, \\sum\n"
    "    ubfx r1, r12, #\\bit, #8\n"
    "    add \\sum, \\sum, \\sum, asr #31\n"
    "    lsl r14, r3, r1\n"
    "    add \\sum, \\sum, r14\n"
    "    asr \\sum, \\sum, r1\n"
    "    ssat \\sum, #8, \\sum, asr #1\n"
    "    strb \\sum, [r2], #1\n"
    ".endm\n"
    TE_ASSEMBLY_FUNCTION("te_whole_sums_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #28\n"
    "    ldm r0, {r4, r5, r6}\n"
    "    lsr r7, r5, #1\n"
    "    and r8, r5, #1\n"
    "    strd r7, r8, [sp, #0]\n"
    "    strd r4, r4, [sp, #8]\n"
    "    strd r2, r3, [sp, #16]\n"
    "    str r6, [sp, #24]\n"
    "    mov r0, r1\n"
    "1:\n" /* Four channels. */
    "    ldrd r2, r1, [sp, #12]\n"
    "    ldr r3, [sp, #0]\n"
    "    ldm r0!, {r4, r5, r6, r7}\n"
    "    cbz r3, 3f\n"
    "2:\n"
    "    ldr r8, [r1]\n"
    "    ldr r9, [r1, r2]\n"
    "    ldrd r10, r11, [r0], #8\n"
    "    add r1, r1, r2, lsl #1\n"
    "    pkhbt r12, r8, r9, lsl #16\n" /* Two channels of both pixels, */
    "    pkhtb r8, r9, r8, asr #16\n"  /* and the other two. */
    "    sxtb16 r14, r12\n"
    "    sxtb16 r9, r10\n"
    "    smlad r4, r14, r9, r4\n"
    "    sxtb16 r12, r12, ror #8\n"
    "    sxtb16 r10, r10, ror #8\n"
    "    smlad r5, r12, r10, r5\n"
    "    sxtb16 r14, r8\n"
    "    sxtb16 r9, r11\n"
    "    smlad r6, r14, r9, r6\n"
    "    sxtb16 r8, r8, ror #8\n"
    "    sxtb16 r11, r11, ror #8\n"
    "    smlad r7, r8, r11, r7\n"
    "    subs r3, r3, #1\n"
    "    bne 2b\n"
    "    cbz r2, 4f\n"
    "3:\n"
    "    ldr r3, [sp, #4]\n"
    "    mov r2, #0\n" /* The last pixel counts twice, the second time with weights of 0. */
    "    cmp r3, #0\n"
    "    bne 2b\n"
    "4:\n"
    "    ldm r0!, {r8, r9, r10, r11, r12}\n"
    "    ldrd r2, r3, [sp, #20]\n"
    "    te_whole_output r4, r8, 0\n"
    "    te_whole_output r5, r9, 8\n"
    "    te_whole_output r6, r10, 16\n"
    "    te_whole_output r7, r11, 24\n"
    "    str r2, [sp, #20]\n"
    "    ldrd r1, r2, [sp, #16]\n"
    "    ldr r3, [sp, #8]\n"
    "    add r1, r1, #4\n"
    "    str r1, [sp, #16]\n"
    "    subs r3, r3, #4\n"
    "    str r3, [sp, #8]\n"
    "    bne 1b\n"
    "    add sp, sp, #28\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_whole_sums_dsp, . - te_whole_sums_dsp\n"
    "    .text\n");

#else /* The same in C. */

void te_whole_sums_dsp(const whole *of, const uint32_t *stream, const int8_t *input, int8_t *output) {
    const int32_t words = (of->pixels + 1) / 2 * 2;
    for (int32_t channel = 0; channel < of->channels; ++channel) {
        const int32_t lane = channel % 4;
        const uint32_t *weights = stream + 4 + lane / 2;
        const uint32_t *requantisation = stream + 4 + words;
        const int32_t right_shift = (int32_t)((requantisation[4] >> (8 * lane)) & 0xffu);
        int32_t sum = (int32_t)stream[lane];
        for (int32_t pixel = 0; pixel < of->pixels; ++pixel) {
            const uint32_t pair = weights[pixel / 2 * 2];
            const uint32_t taps = lane % 2 == 0 ? te_even_bytes(pair) : te_odd_bytes(pair);
            sum += input[pixel * of->channels + channel] * (pixel % 2 == 0 ? te_low(taps) : te_high(taps));
        }
        sum = te_rounded_high_plus(sum, (int32_t)requantisation[lane]);
        sum += (sum < 0 ? -1 : 0) + of->unit_half * (1 << right_shift);
        output[channel] = (int8_t)te_saturate8(sum >> right_shift >> 1);
        if (lane == 3) {
            stream = requantisation + 5;
        }
    }
}

#endif

void te_depthwise_whole_s8_dsp(const te_depthwise_whole_dsp_params *params, const int8_t *input, int8_t *output,
                               void *scratch) {
    const whole of = {params->channels, params->pixels, 2 * params->output_zero_point + 1};
    (void)scratch;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        te_whole_sums_dsp(&of, params->packed, input, output);
        input += params->pixels * params->channels;
        output += params->channels;
    }
}

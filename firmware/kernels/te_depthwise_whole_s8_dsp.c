/* SPDX-License-Identifier: Apache-2.0 */
#include "te_assembly.h"
#include "te_dsp.h"
#include "te_kernels.h"

/** The pairs of pixels that the assembly takes at once, a power of two. */
#define UNROLLED 8

/** What all windows share. */
typedef struct {
    int32_t channels;    /**< In fours. */
    int32_t pixel_bytes; /**< From a pixel to the next. */
    int32_t pairs_bytes; /**< Of the pairs of pixels. */
    int32_t first_pairs; /**< Pairs before the rest comes in multiples of UNROLLED. */
    int32_t odd;         /**< 1 where a pixel is left, else 0. */
} whole;

/** Every output of the channels. */
void te_whole_sums_dsp(const whole *of, const uint32_t *stream, const int8_t *input, int8_t *output);

#if TE_DSP_ASSEMBLY

/* r0 the stream, r1 pixels, r2 bytes to the next pixel, r3 scratch, r4-r7 accumulators of four channels, r8-r11 their weights.
 * On the stack: 0 the four's first pixel, 4 the end of its pairs, less one where a pixel is left, 8 the end of the outputs,
 * 12 output, 16 bytes to the next pixel, 20 where the unrolled loop is entered. Two pixels of four channels are 14
 * instructions for 8 multiply-accumulates, of 56 bytes: hence the .w. */
__asm__(
    ".syntax unified\n"
    ".macro te_whole_pair\n"
    "    ldr.w r12, [r1]\n"
    "    ldr.w r14, [r1, r2]\n"
    "    ldm r0!, {r8, r9, r10, r11}\n"
    "    add.w r1, r1, r2, lsl #1\n"
    "    pkhbt r3, r12, r14, lsl #16\n"  /* Two channels of both pixels, */
    "    pkhtb r14, r14, r12, asr #16\n" /* and the other two. */
    "    sxtb16 r12, r3\n"
    "    sxtb16 r3, r3, ror #8\n"
    "    smlad r4, r12, r8, r4\n"
    "    smlad r5, r3, r9, r5\n"
    "    sxtb16 r12, r14\n"
    "    sxtb16 r14, r14, ror #8\n"
    "    smlad r6, r12, r10, r6\n"
    "    smlad r7, r14, r11, r7\n"
    ".endm\n"
    /* Sums are twice what they are, so that the product's upper half is what the reference takes. */
    ".macro te_whole_output sum:req, multiplier:req, rounding:req\n"
    "    add \\rounding, \\rounding, \\sum, asr #31\n"
    "    smmlar \\sum, \\sum, \\multiplier, \\rounding\n"
    "    asr \\sum, \\sum, r2\n"
    "    ssat \\sum, #8, \\sum\n"
    ".endm\n"
    TE_ASSEMBLY_FUNCTION("te_whole_sums_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #28\n"
    "    ldm r0, {r4, r5, r6, r7, r8}\n"
    "    add r4, r3, r4\n"
    "    strd r4, r3, [sp, #8]\n"
    "    movs r9, #56\n"
    "    adr r10, 3f\n"
    "    mls r9, r7, r9, r10\n"
    "    orr r9, r9, #1\n"
    "    strd r5, r9, [sp, #16]\n"
    "    add r6, r2, r6\n"
    "    sub r6, r6, r8\n"
    "    strd r2, r6, [sp, #0]\n"
    "    mov r0, r1\n"
    "    mov r1, r2\n"
    "1:\n" /* Four channels. */
    "    ldm r0!, {r4, r5, r6, r7}\n"
    "    ldrd r2, r12, [sp, #16]\n"
    "    bx r12\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept 8\n"
    "    te_whole_pair\n"
    "    .endr\n"
    "3:\n"
    "    ldr r3, [sp, #4]\n"
    "    cmp r1, r3\n"
    "    blo 2b\n"
    "    beq 4f\n"
    "    ldr r12, [r1]\n" /* A pixel alone has its weights in the lower halves. */
    "    ldm r0!, {r8, r9, r10, r11}\n"
    "    sxtb16 r14, r12\n"
    "    sxtb16 r12, r12, ror #8\n"
    "    smlabb r4, r14, r8, r4\n"
    "    smlabb r5, r12, r9, r5\n"
    "    smlatb r6, r14, r10, r6\n"
    "    smlatb r7, r12, r11, r7\n"
    "4:\n"
    "    ldm r0!, {r1, r3, r8, r9, r10, r11, r12, r14}\n"
    "    ldr r2, [r0], #4\n" /* Of a shift by a register the lowest byte counts. */
    "    te_whole_output r4, r1, r10\n"
    "    lsrs r2, r2, #8\n"
    "    te_whole_output r5, r3, r11\n"
    "    lsrs r2, r2, #8\n"
    "    te_whole_output r6, r8, r12\n"
    "    lsrs r2, r2, #8\n"
    "    te_whole_output r7, r9, r14\n"
    "    ldm sp, {r1, r3, r8, r12}\n"
    "    adds r1, r1, #4\n"
    "    adds r3, r3, #4\n"
    "    strb r4, [r12], #1\n"
    "    strb r5, [r12], #1\n"
    "    strb r6, [r12], #1\n"
    "    strb r7, [r12], #1\n"
    "    cmp r12, r8\n"
    "    stm sp, {r1, r3, r8, r12}\n"
    "    bne 1b\n"
    "    add sp, sp, #28\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_whole_sums_dsp, . - te_whole_sums_dsp\n"
    "    .text\n");

#else /* The same in C. */

void te_whole_sums_dsp(const whole *of, const uint32_t *stream, const int8_t *input, int8_t *output) {
    const int32_t pairs = of->pairs_bytes / (2 * of->pixel_bytes);
    const int32_t pixels = 2 * pairs + of->odd;
    for (int32_t channel = 0; channel < of->channels; ++channel) {
        const int32_t lane = channel % 4;
        const uint32_t *weights = stream + 4 + lane;
        const uint32_t *requantisation = stream + 4 + 4 * (pairs + of->odd);
        const int32_t right_shift = (int32_t)((requantisation[8] >> (8 * lane)) & 0xffu);
        int32_t sum = (int32_t)stream[lane];
        for (int32_t pixel = 0; pixel < pixels; ++pixel) {
            const uint32_t taps = weights[pixel / 2 * 4];
            sum += input[pixel * of->pixel_bytes + channel] * (pixel % 2 == 0 ? te_low(taps) : te_high(taps));
        }
        sum = te_rounded_high(sum, (int32_t)requantisation[lane]) + (int32_t)requantisation[4 + lane] - (sum < 0 ? 1 : 0);
        output[channel] = (int8_t)te_saturate8(sum >> right_shift);
        if (lane == 3) {
            stream = requantisation + 9;
        }
    }
}

#endif

void te_depthwise_whole_s8_dsp(const te_depthwise_whole_dsp_params *params, const int8_t *input, int8_t *output,
                               void *scratch) {
    const int32_t pairs = params->pixels / 2;
    whole of;
    (void)scratch;
    of.channels = params->channels;
    of.pixel_bytes = params->pixel_bytes;
    of.pairs_bytes = 2 * pairs * params->pixel_bytes;
    of.first_pairs = pairs > 0 ? (pairs - 1) % UNROLLED + 1 : 0;
    of.odd = params->pixels % 2;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        const int8_t *window = input + batch * params->image_bytes;
        for (int32_t left = params->windows; left > 0; --left) {
            te_whole_sums_dsp(&of, params->packed, window, output);
            window += params->window_bytes;
            output += params->channels;
        }
    }
}

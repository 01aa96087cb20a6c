/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise3_s8_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"

#if TE_DSP_ASSEMBLY

/* Registers while a row is summed: r0-r2 the three rows, r3 and r12 the accumulators of two outputs, r4-r5 values, r6-r11 weights,
 * r14 output. On the stack: 0 multiplier, 4 rounding, 8 right shift, 12 stride of the outputs, 16 bias, 20 where the first
 * row ends, 24 the struct, 28 channels left, 32 the first row of the next window, 36 rows left. Two outputs are 35
 * instructions for 18 multiply-accumulates, with a stride of 2 38. */
__asm__(
    ".syntax unified\n"
    /* With a stride of 1, values 0-3 of a row make two outputs. */
    ".macro te_taps1 row:req, w01:req, w12:req\n"
    "    ldrd r4, r5, [\\row], #4\n"
    "    smlad r3, r4, \\w01, r3\n"
    "    smlatb r12, r4, \\w01, r12\n"
    "    smlabt r3, r5, \\w12, r3\n"
    "    smlad r12, r5, \\w12, r12\n"
    ".endm\n"
    /* With a stride of 2, values 0-2 make one and values 2-4 the other. */
    ".macro te_taps2 row:req, w01:req, w12:req\n"
    "    ldrd r4, r5, [\\row], #8\n"
    "    smlad r3, r4, \\w01, r3\n"
    "    smlabt r3, r5, \\w12, r3\n"
    "    ldr r4, [\\row]\n"
    "    smlad r12, r5, \\w01, r12\n"
    "    smlabt r12, r4, \\w12, r12\n"
    ".endm\n"
    ".macro te_last_taps row:req, w01:req, w12:req\n"
    "    ldrd r4, r5, [\\row]\n"
    "    smlad r3, r4, \\w01, r3\n"
    "    smlabt r3, r5, \\w12, r3\n"
    ".endm\n"

    ".macro te_depthwise3 name:req, taps:req, pair_shift:req\n"
    TE_ASSEMBLY_FUNCTION("\\name")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #40\n"
    "    ldr r1, [r0, #24]\n"
    "    str r1, [sp, #12]\n"
    "    ldr r1, [r0, #36]\n"
    "    strd r0, r1, [sp, #24]\n"
    "1:\n" /* The next channel. */
    "    ldr r14, [sp, #24]\n"
    "    ldm r14, {r0, r1, r2, r3}\n"
    "    add r4, r0, r3\n"
    "    add r5, r1, #40\n"
    "    add r6, r2, #1\n"
    "    stm r14, {r4, r5, r6}\n"
    "    ldr r5, [r14, #32]\n"
    "    strd r0, r5, [sp, #32]\n"
    "    mov r14, r2\n"
    "    ldm r1!, {r6, r7, r8, r9, r10, r11}\n"
    "    ldm r1, {r2, r3, r4, r5}\n"
    "    str r2, [sp, #16]\n"
    "    strd r3, r4, [sp, #0]\n"
    "    str r5, [sp, #8]\n"
    "5:\n" /* The next row. */
    "    ldr r4, [sp, #24]\n"
    "    ldr r0, [sp, #32]\n"
    "    ldrd r3, r5, [r4, #16]\n"
    "    ldr r12, [r4, #28]\n"
    "    add r1, r0, r3\n"
    "    add r2, r1, r3\n"
    "    add r5, r0, r5\n"
    "    str r5, [sp, #32]\n"
    "    lsr r12, r12, #1\n"
    "    add r12, r0, r12, lsl #\\pair_shift\n"
    "    str r12, [sp, #20]\n"
    "2:\n"
    "    ldr r3, [sp, #16]\n"
    "    mov r12, r3\n"
    "    \\taps r0, r6, r7\n"
    "    \\taps r1, r8, r9\n"
    "    \\taps r2, r10, r11\n"
    "    ldrd r4, r5, [sp, #0]\n"
    "    smmlar r3, r3, r4, r3\n"
    "    smmlar r12, r12, r4, r12\n"
    "    add r3, r3, r3, asr #31\n"
    "    add r12, r12, r12, asr #31\n"
    "    add r3, r3, r5\n"
    "    add r12, r12, r5\n"
    "    ldrd r4, r5, [sp, #8]\n"
    "    asr r3, r3, r4\n"
    "    asr r12, r12, r4\n"
    "    ssat r3, #8, r3\n"
    "    ssat r12, #8, r12\n"
    "    strb r3, [r14]\n"
    "    strb r12, [r14, r5]\n"
    "    add r14, r14, r5, lsl #1\n"
    "    ldr r4, [sp, #20]\n"
    "    cmp r0, r4\n"
    "    bne 2b\n"
    "    ldr r4, [sp, #24]\n"
    "    ldr r4, [r4, #28]\n"
    "    tst r4, #1\n"
    "    beq 4f\n"
    "    ldr r3, [sp, #16]\n" /* The last of an odd number of outputs. */
    "    te_last_taps r0, r6, r7\n"
    "    te_last_taps r1, r8, r9\n"
    "    te_last_taps r2, r10, r11\n"
    "    ldrd r4, r5, [sp, #0]\n"
    "    smmlar r3, r3, r4, r3\n"
    "    add r3, r3, r3, asr #31\n"
    "    add r3, r3, r5\n"
    "    ldr r4, [sp, #8]\n"
    "    asr r3, r3, r4\n"
    "    ssat r3, #8, r3\n"
    "    strb r3, [r14]\n"
    "    ldr r5, [sp, #12]\n"
    "    add r14, r14, r5\n"
    "4:\n"
    "    ldr r4, [sp, #36]\n"
    "    subs r4, r4, #1\n"
    "    str r4, [sp, #36]\n"
    "    bne 5b\n"
    "    ldr r4, [sp, #28]\n"
    "    subs r4, r4, #1\n"
    "    str r4, [sp, #28]\n"
    "    bne 1b\n"
    "    add sp, sp, #40\n"
    "    pop {r4-r11, pc}\n"
    "    .size \\name, . - \\name\n"
    ".endm\n"

    "te_depthwise3 te_depthwise3_stride1_dsp, te_taps1, 2\n"
    "te_depthwise3 te_depthwise3_stride2_dsp, te_taps2, 3\n"
    "    .text\n");

#else /* The same in C. */

static void convolve(te_depthwise3_rows *rows, int32_t stride) {
    for (int32_t c = 0; c < rows->count; ++c) {
        const te_depthwise3_channel *channel = rows->channels + c;
        int8_t *output = rows->output + c;
        for (int32_t y = 0; y < rows->out_h; ++y) {
            const int16_t *first = rows->values + (c * rows->plane_bytes + y * rows->step_bytes) / 2;
            for (int32_t x = 0; x < rows->out_w; ++x) {
                int32_t sum = channel->bias;
                for (int32_t tap_y = 0; tap_y < 3; ++tap_y) {
                    const int16_t *values = first + tap_y * rows->tap_bytes / 2 + x * stride;
                    const uint32_t *weights = channel->weights + 2 * tap_y;
                    sum += values[0] * te_low(weights[0]) + values[1] * te_high(weights[0]) +
                           values[2] * te_high(weights[1]);
                }
                sum = te_rounded_high_plus(sum, channel->multiplier);
                sum += (sum < 0 ? -1 : 0) + channel->rounding;
                *output = (int8_t)te_saturate8(sum >> channel->right_shift);
                output += rows->out_stride;
            }
        }
    }
}

void te_depthwise3_stride1_dsp(te_depthwise3_rows *rows) {
    convolve(rows, 1);
}

void te_depthwise3_stride2_dsp(te_depthwise3_rows *rows) {
    convolve(rows, 2);
}

#endif

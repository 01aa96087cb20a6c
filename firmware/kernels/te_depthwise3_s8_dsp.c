/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise3_s8_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"

#if TE_DSP_ASSEMBLY

/* Registers while outputs are summed: r0 the first row of their windows and r14 how far the next is, r1-r3 and r12
 * accumulators of up to four outputs, r4-r5 values, r6-r11 weights. On the stack: 0 multiplier, 4 rounding, 8 right shift,
 * 12 stride of the outputs, 16 bias, 20 where the unrolled part of the first row ends, 24 the struct, 28 channels left, 32
 * the first row of the next window, 36 rows left, 40 output, 44 how far rows are apart, 48 outputs of a row that the
 * unrolled part leaves. Of a quick layer four outputs are 64 instructions for 36 multiply-accumulates and 74 cycles of a
 * Cortex-M4, where a load that follows another takes one; two with a stride of 2 are 42 and 51; of others each output takes
 * two more. With loads apart they are 44 and 30 cycles of a Cortex-M7. Wide instructions that lie across two words are
 * fetched more slowly, hence the .w. */
__asm__(
    ".syntax unified\n"
    /* What the first, second and third word of a row of the window add, w01 and w12 being that row's weights. With a
     * stride of 1, two words make two outputs and three words four, of which the second begins with the bias in r1; */
    ".macro te_first1 value:req, w01:req, w12:req, bias=r2\n"
    "    smlatb r2, \\value, \\w01, \\bias\n"
    "    smlad r1, \\value, \\w01, r1\n"
    ".endm\n"
    ".macro te_last1 value:req, w01:req, w12:req\n"
    "    smlad r2, \\value, \\w12, r2\n"
    "    smlabt r1, \\value, \\w12, r1\n"
    ".endm\n"
    ".macro te_second1 value:req, w01:req, w12:req\n"
    "    te_last1 \\value, \\w01, \\w12\n"
    "    smlad r3, \\value, \\w01, r3\n"
    "    smlatb r12, \\value, \\w01, r12\n"
    ".endm\n"
    ".macro te_third1 value:req, w01:req, w12:req\n"
    "    smlabt r3, \\value, \\w12, r3\n"
    "    smlad r12, \\value, \\w12, r12\n"
    ".endm\n"
    /* with a stride of 2, three words make two outputs; */
    ".macro te_second2 value:req, w01:req, w12:req\n"
    "    smlabt r1, \\value, \\w12, r1\n"
    "    smlad r2, \\value, \\w01, r2\n"
    ".endm\n"
    ".macro te_third2 value:req, w01:req, w12:req\n"
    "    smlabt r2, \\value, \\w12, r2\n"
    ".endm\n"
    /* and two words make one output. */
    ".macro te_first value:req, w01:req, w12:req, bias=r1\n"
    "    smlad r1, \\value, \\w01, r1\n"
    ".endm\n"
    ".macro te_last value:req, w01:req, w12:req\n"
    "    smlabt r1, \\value, \\w12, r1\n"
    ".endm\n"

    /* Biases; with loads apart the first two words come with them. */
    ".macro te_biases from:req, beside:req, first:req, more:vararg\n"
    "    ldr.w r14, [sp, #44]\n"
    "    ldr.w \\first, [sp, #16]\n"
#if TE_LOADS_APART
    "    ldr.w \\from, [r0]\n"
    "    ldr.w \\beside, [r0, r14]\n"
#endif
    "    .ifnb \\more\n"
    "    .irp sum, \\more\n"
    "    mov.w \\sum, \\first\n"
    "    .endr\n"
    "    .endif\n"
    ".endm\n"

#if TE_LOADS_APART
    /* Each other word is loaded behind what adds the word that was in its register. Then r5 is the multiplier and r14 the
     * right shift. */
    ".macro te_two_words first:req, second:req\n"
    "    \\first r5, r6, r7, r1\n"
    "    ldr.w r5, [r0, r14, lsl #1]\n"
    "    \\first r4, r8, r9\n"
    "    ldr.w r4, [r0, #4]!\n"
    "    \\first r5, r10, r11\n"
    "    ldr.w r5, [r0, r14]\n"
    "    \\second r4, r6, r7\n"
    "    ldr.w r4, [r0, r14, lsl #1]\n"
    "    \\second r5, r8, r9\n"
    "    ldr.w r5, [sp, #0]\n"
    "    ldr.w r14, [sp, #8]\n"
    "    \\second r4, r10, r11\n"
    ".endm\n"
    ".macro te_three_words first:req, second:req, third:req\n"
    "    \\first r4, r6, r7, r1\n"
    "    ldr.w r4, [r0, r14, lsl #1]\n"
    "    \\first r5, r8, r9\n"
    "    ldr.w r5, [r0, #4]!\n"
    "    \\first r4, r10, r11\n"
    "    ldr.w r4, [r0, r14]\n"
    "    \\second r5, r6, r7\n"
    "    ldr.w r5, [r0, r14, lsl #1]\n"
    "    \\second r4, r8, r9\n"
    "    ldr.w r4, [r0, #4]!\n"
    "    \\second r5, r10, r11\n"
    "    ldr.w r5, [r0, r14]\n"
    "    \\third r4, r6, r7\n"
    "    ldr.w r4, [r0, r14, lsl #1]\n"
    "    \\third r5, r8, r9\n"
    "    ldr.w r5, [sp, #0]\n"
    "    ldr.w r14, [sp, #8]\n"
    "    \\third r4, r10, r11\n"
    ".endm\n"
    /* In a quick layer a product shifts and rounds; in others negative sums are rounded away from zero first. Then r4 is the
     * stride of the outputs, r5 the output and r14 where the unrolled part ends. */
    ".macro te_finish quick:req, first:req, more:vararg\n"
    "    ldr.w r4, [sp, #4]\n"
    "    .irp sum, \\first, \\more\n"
    "    smmlar \\sum, \\sum, r5, \\sum\n"
    "    .endr\n"
    "    ldr.w r5, [sp, #40]\n"
    "    .irp sum, \\first, \\more\n"
    "    .if \\quick\n"
    "    smmlar \\sum, \\sum, r4, r14\n"
    "    .else\n"
    "    add \\sum, \\sum, \\sum, asr #31\n"
    "    add.w \\sum, \\sum, r4\n"
    "    asr.w \\sum, \\sum, r14\n"
    "    .endif\n"
    "    .endr\n"
    "    ldr.w r4, [sp, #12]\n"
    "    ldr.w r14, [sp, #20]\n"
    "    .irp sum, \\first, \\more\n"
    "    ssat \\sum, #8, \\sum\n"
    "    .endr\n"
    ".endm\n"
#else
    ".macro te_two_words first:req, second:req\n"
    "    ldr.w r4, [r0, r14]\n"
    "    ldr.w r5, [r0, r14, lsl #1]\n"
    "    \\first r4, r8, r9, r1\n"
    "    \\first r5, r10, r11\n"
    "    ldr.w r4, [r0, #4]\n"
    "    ldr.w r5, [r0], #4\n"
    "    \\first r5, r6, r7\n"
    "    \\second r4, r6, r7\n"
    "    ldr.w r4, [r0, r14]\n"
    "    ldr.w r5, [r0, r14, lsl #1]\n"
    "    \\second r4, r8, r9\n"
    "    \\second r5, r10, r11\n"
    ".endm\n"
    ".macro te_three_words first:req, second:req, third:req\n"
    "    te_two_words \\first, \\second\n"
    "    ldr.w r4, [r0, #4]!\n"
    "    \\third r4, r6, r7\n"
    "    ldr.w r4, [r0, r14]\n"
    "    ldr.w r5, [r0, r14, lsl #1]\n"
    "    \\third r4, r8, r9\n"
    "    \\third r5, r10, r11\n"
    ".endm\n"
    /* In a quick layer a product shifts and rounds; in others negative sums are rounded away from zero first. Then r4 is the
     * stride of the outputs, r5 the output and r14 where the unrolled part ends. */
    ".macro te_finish quick:req, first:req, more:vararg\n"
    "    ldr.w r4, [sp, #0]\n"
    "    ldr.w r5, [sp, #4]\n"
    "    ldr.w r14, [sp, #8]\n"
    /* On a Cortex-M7 a product is there two cycles later: hence one step of all outputs after the other. */
    "    .irp sum, \\first, \\more\n"
    "    smmlar \\sum, \\sum, r4, \\sum\n"
    "    .endr\n"
    "    .irp sum, \\first, \\more\n"
    "    .if \\quick\n"
    "    smmlar \\sum, \\sum, r5, r14\n"
    "    .else\n"
    "    add \\sum, \\sum, \\sum, asr #31\n"
    "    add.w \\sum, \\sum, r5\n"
    "    asr.w \\sum, \\sum, r14\n"
    "    .endif\n"
    "    .endr\n"
    "    .irp sum, \\first, \\more\n"
    "    ssat \\sum, #8, \\sum\n"
    "    .endr\n"
    "    ldr.w r4, [sp, #12]\n"
    "    ldr.w r5, [sp, #40]\n"
    "    ldr.w r14, [sp, #20]\n"
    ".endm\n"
#endif
    /* A store with a register in its address takes a cycle behind a load, else two. */
    ".macro te_store2 first:req, second:req\n"
#if TE_LOADS_APART
    "    strb.w \\first, [r5]\n"
    "    strb.w \\second, [r5, r4]\n"
#else
    "    strb.w \\second, [r5, r4]\n"
    "    strb.w \\first, [r5]\n"
#endif
    "    add r5, r5, r4, lsl #1\n"
    ".endm\n"

    ".macro te_four_outputs quick:req\n"
    "    te_biases r4, r5, r1, r3, r12\n"
    "    te_three_words te_first1, te_second1, te_third1\n"
    "    te_finish \\quick, r1, r2, r3, r12\n"
    "    te_store2 r1, r2\n"
    "    cmp r0, r14\n"
    "    strb r3, [r5]\n"
    "    strb.w r12, [r5, r4]\n"
    "    add r5, r5, r4, lsl #1\n"
    "    str r5, [sp, #40]\n"
    ".endm\n"
    ".macro te_two_outputs_stride1 quick:req\n"
    "    te_biases r5, r4, r1\n"
    "    te_two_words te_first1, te_last1\n"
    "    te_finish \\quick, r1, r2\n"
    "    te_store2 r1, r2\n"
    "    str r5, [sp, #40]\n"
    ".endm\n"
    ".macro te_two_outputs_of_loop quick:req\n"
    "    te_two_outputs_stride1 \\quick\n"
    "    cmp r0, r14\n"
    ".endm\n"
    ".macro te_two_outputs_stride2 quick:req\n"
    "    te_biases r4, r5, r1, r2\n"
    "    te_three_words te_first, te_second2, te_third2\n"
    "    te_finish \\quick, r1, r2\n"
    "    te_store2 r1, r2\n"
    "    cmp r0, r14\n"
    "    str r5, [sp, #40]\n"
    ".endm\n"

    /* `unrolled` makes 2^`shift` outputs of 2^`bytes` bytes of the first row; where that is four, a pair may be left. */
    ".macro te_depthwise3 name:req, unrolled:req, shift:req, bytes:req, quick:req\n"
    TE_ASSEMBLY_FUNCTION("\\name")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #52\n"
    "    ldr r2, [r0, #36]\n"
    "    ldr r3, [r0, #24]\n"
    "    ldr r4, [r0, #16]\n"
    "    ldr r5, [r0, #28]\n"
    "    str r3, [sp, #12]\n"
    "    and r5, r5, #(1 << \\shift) - 1\n"
    "    str r5, [sp, #48]\n"
    "    strd r0, r2, [sp, #24]\n"
    "    str r4, [sp, #44]\n"
    "1:\n" /* The next channel. */
    "    ldr r14, [sp, #24]\n"
    "    ldm r14, {r0, r1, r2, r3}\n"
    "    add r4, r0, r3\n"
    "    add r5, r1, #40\n"
    "    add r6, r2, #1\n"
    "    stm r14, {r4, r5, r6}\n"
    "    ldr r5, [r14, #32]\n"
    "    strd r0, r5, [sp, #32]\n"
    "    str r2, [sp, #40]\n"
    "    ldm r1!, {r6, r7, r8, r9, r10, r11}\n"
    "    ldm r1, {r2, r3, r4, r5}\n"
    "    str r2, [sp, #16]\n"
    "    strd r3, r4, [sp, #0]\n"
    "    str r5, [sp, #8]\n"
    "5:\n" /* The next row. */
    "    ldr r4, [sp, #24]\n"
    "    ldr r0, [sp, #32]\n"
    "    ldr r5, [r4, #20]\n"
    "    ldr r12, [r4, #28]\n"
    "    add r5, r0, r5\n"
    "    str r5, [sp, #32]\n"
    "    lsrs r12, r12, #\\shift\n"
    "    beq 3f\n"
    "    add r12, r0, r12, lsl #\\bytes\n"
    "    str r12, [sp, #20]\n"
    "    .balign 4\n"
    "2:\n"
    "    \\unrolled \\quick\n" /* Compares r0 with the end. */
    "    bne 2b\n"
    "3:\n"
    "    ldr r4, [sp, #48]\n"
    "    cmp r4, #0\n"
    "    beq 4f\n"
    "    .if \\shift > 1\n"
    "    cmp r4, #1\n"
    "    beq 6f\n"
    "    te_two_outputs_stride1 \\quick\n"
    "    ldr r4, [sp, #48]\n"
    "    cmp r4, #2\n"
    "    beq 4f\n"
    "6:\n"
    "    .endif\n"
    "    te_biases r5, r4, r1\n" /* The last of an odd number of outputs. */
    "    te_two_words te_first, te_last\n"
    "    te_finish \\quick, r1\n"
    "    strb r1, [r5]\n"
    "    add r5, r5, r4\n"
    "    str r5, [sp, #40]\n"
    "4:\n"
    "    ldr r4, [sp, #36]\n"
    "    subs r4, r4, #1\n"
    "    str r4, [sp, #36]\n"
    "    bne 5b\n"
    "    ldr r4, [sp, #28]\n"
    "    subs r4, r4, #1\n"
    "    str r4, [sp, #28]\n"
    "    bne 1b\n"
    "    add sp, sp, #52\n"
    "    pop {r4-r11, pc}\n"
    "    .size \\name, . - \\name\n"
    ".endm\n"

#if TE_SMALL
    "te_depthwise3 te_depthwise3_stride1_dsp, te_two_outputs_of_loop, 1, 2, 0\n"
    "te_depthwise3 te_depthwise3_stride2_dsp, te_two_outputs_stride2, 1, 3, 0\n"
#else
    "te_depthwise3 te_depthwise3_stride1_dsp, te_four_outputs, 2, 3, 0\n"
    "te_depthwise3 te_depthwise3_stride1_quick_dsp, te_four_outputs, 2, 3, 1\n"
    "te_depthwise3 te_depthwise3_stride2_dsp, te_two_outputs_stride2, 1, 3, 0\n"
    "te_depthwise3 te_depthwise3_stride2_quick_dsp, te_two_outputs_stride2, 1, 3, 1\n"
#endif
    "    .text\n");

#else /* The same in C. */

static void convolve(te_depthwise3_rows *rows, int32_t stride, int32_t quick) {
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
                if (quick) {
                    sum = te_add_rounded_high(sum, channel->rounding, channel->right_shift);
                } else {
                    sum = (sum + (sum < 0 ? -1 : 0) + channel->rounding) >> channel->right_shift;
                }
                *output = (int8_t)te_saturate8(sum);
                output += rows->out_stride;
            }
        }
    }
}

void te_depthwise3_stride1_dsp(te_depthwise3_rows *rows) {
    convolve(rows, 1, 0);
}

void te_depthwise3_stride1_quick_dsp(te_depthwise3_rows *rows) {
    convolve(rows, 1, 1);
}

void te_depthwise3_stride2_dsp(te_depthwise3_rows *rows) {
    convolve(rows, 2, 0);
}

void te_depthwise3_stride2_quick_dsp(te_depthwise3_rows *rows) {
    convolve(rows, 2, 1);
}

#endif

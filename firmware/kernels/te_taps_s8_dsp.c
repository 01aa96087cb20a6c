/* SPDX-License-Identifier: Apache-2.0 */
#include "te_taps_s8_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"

#if TE_DSP_ASSEMBLY

/* r0 reads the stream's weights, r2 counts pairs of taps and r3 rows of them; r4-r7 accumulators of four outputs; r12 and r14
 * weights of four taps. On the stack:
 *
 *      sp +  0  weights                          sp + 28  stride of the outputs
 *      sp +  4  the first output's window        sp + 32  pairs of taps in a row
 *      sp +  8  bias                             sp + 36  rows of taps
 *      sp + 12  multiplier                       sp + 40  bytes from a row's end to the next row
 *      sp + 16  rounding                         sp + 44  outputs left
 *      sp + 20  right shift                      sp + 48  bytes from a window to the next
 *      sp + 24  output                           sp + 52  all outputs
 *
 * Four taps of four outputs are 17 instructions for 16 multiply-accumulates where windows are one value apart, else 21;
 * of an output alone 9. */
__asm__(
    ".syntax unified\n"
    /* Windows one value apart: r8-r11 are pairs of values, of which the next taps use two again; r1 reads values. */
    ".macro te_begin4_stride1\n"
    "    ldr r8, [r1]\n"
    "    ldr r9, [r1, #2]\n"
    ".endm\n"
    ".macro te_first_taps_stride1 weights:req\n"
    "    smlad r4, \\weights, r8, r4\n"
    "    smlad r5, \\weights, r9, r5\n"
    "    smlad r6, \\weights, r10, r6\n"
    "    smlad r7, \\weights, r11, r7\n"
    ".endm\n"
    ".macro te_four_taps_stride1\n"
    "    ldr r12, [r0], #4\n"
    "    ldr r10, [r1, #4]\n"
    "    ldr r11, [r1, #6]\n"
    "    sxtb16 r14, r12\n"
    "    sxtb16 r12, r12, ror #8\n"
    "    te_first_taps_stride1 r14\n"
    "    ldr r8, [r1, #8]!\n"
    "    ldr r9, [r1, #2]\n"
    "    smlad r4, r12, r10, r4\n"
    "    smlad r5, r12, r11, r5\n"
    "    smlad r6, r12, r8, r6\n"
    "    smlad r7, r12, r9, r7\n"
    ".endm\n"
    ".macro te_two_taps_stride1\n"
    "    ldr r12, [r0], #4\n"
    "    ldr r10, [r1, #4]\n"
    "    ldr r11, [r1, #6]\n"
    "    sxtb16 r12, r12\n"
    "    te_first_taps_stride1 r12\n"
    ".endm\n"
    ".macro te_next_row4_stride1\n"
    "    ldr r10, [sp, #40]\n"
    "    add r1, r1, r10\n"
    "    te_begin4_stride1\n"
    ".endm\n"

    /* Windows any distance apart: r8-r11 read one each. */
    ".macro te_begin4_strided\n"
    "    ldr r9, [sp, #48]\n"
    "    mov r8, r1\n"
    "    add r10, r1, r9, lsl #1\n"
    "    add r11, r10, r9\n"
    "    add r9, r1, r9\n"
    ".endm\n"
    ".macro te_pair_strided weights:req, next:vararg\n"
    "    ldr r1, [r8]\\next\n"
    "    smlad r4, \\weights, r1, r4\n"
    "    ldr r1, [r9]\\next\n"
    "    smlad r5, \\weights, r1, r5\n"
    "    ldr r1, [r10]\\next\n"
    "    smlad r6, \\weights, r1, r6\n"
    "    ldr r1, [r11]\\next\n"
    "    smlad r7, \\weights, r1, r7\n"
    ".endm\n"
    ".macro te_four_taps_strided\n"
    "    ldr r12, [r0], #4\n"
    "    sxtb16 r14, r12\n"
    "    te_pair_strided r14, , #4\n"
    "    sxtb16 r12, r12, ror #8\n"
    "    te_pair_strided r12, , #4\n"
    ".endm\n"
    ".macro te_two_taps_strided\n"
    "    ldr r12, [r0], #4\n"
    "    sxtb16 r12, r12\n"
    "    te_pair_strided r12\n"
    ".endm\n"
    ".macro te_next_row4_strided\n"
    "    ldr r1, [sp, #40]\n"
    "    .irp pointer, r8, r9, r10, r11\n"
    "    add \\pointer, \\pointer, r1\n"
    "    .endr\n"
    ".endm\n"

    /* r0 and r1 become the multiplier and the rounding, r2 the shift, r12 the output and r14 its stride. */
    ".macro te_finish first:req, more:vararg\n"
    "    ldrd r0, r1, [sp, #12]\n"
    "    ldr r2, [sp, #20]\n"
    "    ldrd r12, r14, [sp, #24]\n"
    "    .irp sum, \\first, \\more\n"
    "    smmlar \\sum, \\sum, r0, \\sum\n"
    "    add \\sum, \\sum, \\sum, asr #31\n"
    "    add \\sum, \\sum, r1\n"
    "    asr \\sum, \\sum, r2\n"
    "    ssat \\sum, #8, \\sum\n"
    "    .endr\n"
    ".endm\n"

    ".macro te_taps name:req, kind:req\n"
    TE_ASSEMBLY_FUNCTION("\\name")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #60\n"
    "    ldm r2!, {r4, r5, r6}\n"
    "    ldr r7, [r0, #24]\n"
    "    uxtb r6, r6\n"
    "    lsl r7, r7, #1\n"
    "    add r7, r7, #1\n"
    "    sub r8, r6, #1\n"
    "    lsl r7, r7, r8\n" /* Half a unit, and the zero point above it. */
    "    strd r2, r1, [sp, #0]\n"
    "    strd r4, r5, [sp, #8]\n"
    "    strd r7, r6, [sp, #16]\n"
    "    ldm r0, {r4, r5, r6, r7, r8, r9}\n"
    "    strd r3, r4, [sp, #24]\n"
    "    strd r7, r8, [sp, #32]\n"
    "    strd r9, r5, [sp, #40]\n"
    "    strd r6, r5, [sp, #48]\n"
    "    subs r5, r5, #4\n"
    "    blt 5f\n"
    "1:\n" /* Four outputs. */
    "    str r5, [sp, #44]\n"
    "    ldrd r0, r1, [sp, #0]\n"
    "    ldrd r2, r3, [sp, #32]\n"
    "    ldr r4, [sp, #8]\n"
    "    mov r5, r4\n"
    "    mov r6, r4\n"
    "    mov r7, r4\n"
    "    te_begin4_\\kind\n"
    "2:\n" /* A row of taps. */
    "    subs r2, r2, #2\n"
    "    blt 4f\n"
    "3:\n"
    "    te_four_taps_\\kind\n"
    "    subs r2, r2, #2\n"
    "    bge 3b\n"
    "4:\n"
    "    adds r2, r2, #1\n"
    "    bne 8f\n"
    "    te_two_taps_\\kind\n"
    "8:\n"
    "    subs r3, r3, #1\n"
    "    beq 9f\n"
    "    ldr r2, [sp, #32]\n"
    "    te_next_row4_\\kind\n"
    "    b 2b\n"
    "9:\n"
    "    te_finish r4, r5, r6, r7\n"
    "    strb r4, [r12]\n"
    "    strb r5, [r12, r14]\n"
    "    add r12, r12, r14, lsl #1\n"
    "    strb r6, [r12]\n"
    "    strb r7, [r12, r14]\n"
    "    add r12, r12, r14, lsl #1\n"
    "    ldr r1, [sp, #4]\n"
    "    ldrd r5, r6, [sp, #44]\n"
    "    add r1, r1, r6, lsl #2\n"
    "    str r12, [sp, #24]\n"
    "    str r1, [sp, #4]\n"
    "    subs r5, r5, #4\n"
    "    bge 1b\n"
    "5:\n"
    "    adds r5, r5, #4\n"
    "    beq 7f\n"
    "    ldrd r6, r7, [sp, #48]\n"
    "    cmp r7, #4\n"
    "    blt 6f\n"
    "    cmp r5, #1\n"
    "    beq 6f\n"
    "    rsb r8, r5, #4\n" /* Two or three are left: the last four are made, one or two of them again. */
    "    ldrd r12, r14, [sp, #24]\n"
    "    ldr r1, [sp, #4]\n"
    "    mls r12, r8, r14, r12\n"
    "    mls r1, r8, r6, r1\n"
    "    str r12, [sp, #24]\n"
    "    str r1, [sp, #4]\n"
    "    movs r5, #0\n"
    "    b 1b\n"
    "6:\n" /* One output: r1 reads its window. */
    "    str r5, [sp, #44]\n"
    "    ldrd r0, r1, [sp, #0]\n"
    "    ldrd r2, r3, [sp, #32]\n"
    "    ldr r4, [sp, #8]\n"
    "2:\n"
    "    subs r2, r2, #2\n"
    "    blt 4f\n"
    "3:\n"
    "    ldr r12, [r0], #4\n"
    "    ldr r8, [r1], #4\n"
    "    ldr r9, [r1], #4\n"
    "    sxtb16 r14, r12\n"
    "    sxtb16 r12, r12, ror #8\n"
    "    smlad r4, r14, r8, r4\n"
    "    smlad r4, r12, r9, r4\n"
    "    subs r2, r2, #2\n"
    "    bge 3b\n"
    "4:\n"
    "    adds r2, r2, #1\n"
    "    bne 8f\n"
    "    ldr r12, [r0], #4\n"
    "    ldr r8, [r1]\n"
    "    sxtb16 r12, r12\n"
    "    smlad r4, r12, r8, r4\n"
    "8:\n"
    "    subs r3, r3, #1\n"
    "    beq 9f\n"
    "    ldrd r8, r9, [sp, #36]\n"
    "    ldr r2, [sp, #32]\n"
    "    add r1, r1, r9\n"
    "    b 2b\n"
    "9:\n"
    "    te_finish r4\n"
    "    strb r4, [r12]\n"
    "    ldr r1, [sp, #4]\n"
    "    ldrd r5, r6, [sp, #44]\n"
    "    add r12, r12, r14\n"
    "    add r1, r1, r6\n"
    "    str r12, [sp, #24]\n"
    "    str r1, [sp, #4]\n"
    "    subs r5, r5, #1\n"
    "    bne 6b\n"
    "7:\n"
    "    add sp, sp, #60\n"
    "    pop {r4-r11, pc}\n"
    "    .size \\name, . - \\name\n"
    ".endm\n"

    "te_taps te_taps_stride1_dsp, stride1\n"
    "te_taps te_taps_strided_dsp, strided\n"
    "    .text\n");

#else /* The same in C, one output at a time. */

void te_taps_strided_dsp(const te_taps_run *run, const int16_t *values, const uint32_t *stream, int8_t *output) {
    const int32_t multiplier = (int32_t)stream[1];
    const int32_t right_shift = (int32_t)(stream[2] & 0xffu);
    for (int32_t i = 0; i < run->outputs; ++i) {
        const uint32_t *weights = stream + TE_TAPS_REQUANTISATION_WORDS;
        const int16_t *window = values + i * run->step_bytes / 2;
        int32_t sum = (int32_t)stream[0];
        for (int32_t row = 0; row < run->rows; ++row) {
            for (int32_t pair = 0; pair < run->pairs; ++pair) {
                const uint32_t taps = pair % 2 == 0 ? te_even_bytes(weights[pair / 2]) : te_odd_bytes(weights[pair / 2]);
                sum = te_dual_mac(taps, te_load4(window + 2 * pair), sum);
            }
            weights += (run->pairs + 1) / 2;
            window += 4 * (run->pairs / 2) + run->skip_bytes / 2;
        }
        sum = te_rounded_high_plus(sum, multiplier);
        sum += (sum < 0 ? -1 : 0) + (2 * run->zero_point + 1) * (1 << (right_shift - 1));
        output[i * run->out_stride] = (int8_t)te_saturate8(sum >> right_shift);
    }
}

void te_taps_stride1_dsp(const te_taps_run *run, const int16_t *values, const uint32_t *stream, int8_t *output) {
    te_taps_strided_dsp(run, values, stream, output);
}

#endif

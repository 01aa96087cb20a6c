/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_row_s8_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"
#include "te_gemm_finish_dsp.h"

#if TE_DSP_ASSEMBLY

/* r0 reads the stream and r1 the columns; r2 to r5 sums of the first channels of the pairs, r6 to r9 those of both channels.
 * Two steps are 30 instructions and 120 bytes, hence the .w, and 34 cycles of a Cortex-M4 for 32 multiply-accumulates: a load
 * that follows another takes one. A Cortex-M7 takes 25: both registers of a pair's weights are needed until its last product, so
 * that the next pair's come late. On the stack:
 *
 *      sp +  0  zero point               sp + 12  eights of channels left       sp + 20  where the unrolled loop is entered
 *      sp +  4  the layer's factor       sp + 16  begin of the columns          sp + 24  end of the columns
 *      sp +  8  output                                                          sp + 28  products of the columns */
__asm__(
    ".syntax unified\n"
    TE_GEMM_FINISH_MACROS
    /* Two steps of a pair, their values in r10 and r11. */
    ".macro te_row_pair both:req, first:req\n"
#if TE_LOADS_APART
    "    ldr.w r12, [r0], #4\n" /* Which is needed first. */
    "    ldr.w r14, [r0], #4\n"
#else
    "    ldr.w r14, [r0, #4]\n"
    "    ldr.w r12, [r0], #8\n"
#endif
    "    smlad \\both, r12, r10, \\both\n"
    "    sxtab16 r12, r11, r12\n"
    "    smlad \\both, r14, r11, \\both\n"
    "    sxtab16 r14, r10, r14\n"
    "    smlad \\first, r12, r14, \\first\n"
    ".endm\n"
    ".macro te_row_steps\n"
#if TE_LOADS_APART
    "    ldr.w r10, [r1], #4\n"
    "    ldr.w r11, [r1], #4\n"
#else
    "    ldr.w r11, [r1, #4]\n"
    "    ldr.w r10, [r1], #8\n"
#endif
    "    te_row_pair r6, r2\n"
    "    te_row_pair r7, r3\n"
    "    te_row_pair r8, r4\n"
    "    te_row_pair r9, r5\n"
    ".endm\n"
    /* Two sums to outputs: r11 zero point, r14 the layer's factor, r12 by how much it is shifted. */
    ".macro te_row_outputs first:req, second:req\n"
    "    ldr.w r10, [r0, #4]\n"
    "    ldr.w r1, [r0], #8\n"
    "    smmlar \\second, \\second, r10, \\second\n"
    "    smmlar \\first, \\first, r1, \\first\n"
    "    lsl.w r1, r14, r12\n"
    "    lsr.w r12, r12, #8\n"
    "    lsl.w r10, r14, r12\n"
    "    lsr.w r12, r12, #8\n"
    "    smmlar \\first, \\first, r1, r11\n"
    "    smmlar \\second, \\second, r10, r11\n"
    "    ssat \\first, #8, \\first\n"
    "    ssat \\second, #8, \\second\n"
    ".endm\n"

    TE_ASSEMBLY_FUNCTION("te_gemm_row_s8_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #32\n"
    "    str r3, [sp, #28]\n"
    "    ldm r0, {r3, r4, r5, r6, r7}\n" /* The stream, steps, channels, stride and zero point. */
    "    ldr r8, [r0, #28]\n"
    "    mov r0, r3\n"
    "    te_quick_factor r9, r8, r7\n"
    "    add r10, r1, r4, lsl #2\n"
    "    lsr r4, r4, #1\n"
    "    sub r4, r4, #1\n"
    "    and r4, r4, #3\n"
    "    add r4, r4, #1\n" /* Pairs of steps of the first time through the loop. */
    "    mov r6, #120\n"
    "    adr r12, 3f\n"
    "    mls r4, r4, r6, r12\n"
    "    orr r4, r4, #1\n"
    "    lsr r5, r5, #3\n"
    "    strd r7, r9, [sp, #0]\n"
    "    strd r2, r5, [sp, #8]\n"
    "    strd r1, r4, [sp, #16]\n"
    "    str r10, [sp, #24]\n"
    "    .balign 4\n"
    "1:\n"
    "    ldr.w r1, [sp, #16]\n"
    "    ldr.w r14, [sp, #20]\n"
    "    ldr.w r10, [sp, #28]\n"
    "    ldm.w r0!, {r2-r9}\n"
    "    .irp sum, r2, r3, r4, r5\n"
    "    sub.w \\sum, \\sum, r10\n"
    "    .endr\n"
    "    bx r14\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept 4\n"
    "    te_row_steps\n"
    "    .endr\n"
    "3:\n"
    "    ldr r10, [sp, #24]\n"
    "    cmp r1, r10\n"
    "    bne 2b\n"
    "    .balign 4\n"
    "    sub r6, r6, r2\n"
    "    sub r7, r7, r3\n"
    "    sub r8, r8, r4\n"
    "    sub r9, r9, r5\n"
    "    .irp sum, r6, r7, r8, r9\n"
    "    asr \\sum, \\sum, #8\n"
    "    .endr\n"
    "    ldr.w r11, [sp, #0]\n"
    "    ldr.w r14, [sp, #4]\n"
    "    ldr.w r12, [r0], #4\n"
    "    te_row_outputs r2, r3\n"
    "    te_row_outputs r4, r5\n"
    "    ldr.w r12, [r0], #4\n"
    "    te_row_outputs r6, r7\n"
    "    te_row_outputs r8, r9\n"
    "    bfi r2, r6, #8, #8\n"
    "    bfi r3, r7, #8, #8\n"
    "    bfi r4, r8, #8, #8\n"
    "    bfi r5, r9, #8, #8\n"
    "    bfi r2, r3, #16, #16\n"
    "    bfi r4, r5, #16, #16\n"
    "    ldr.w r10, [sp, #8]\n"
    "    ldr.w r11, [sp, #12]\n"
    "    str r2, [r10], #4\n"
    "    subs r11, r11, #1\n"
    "    str r4, [r10], #4\n"
    "    str r11, [sp, #12]\n"
    "    str r10, [sp, #8]\n"
    "    bgt 1b\n"
    "    add sp, sp, #32\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_gemm_row_s8_dsp, . - te_gemm_row_s8_dsp\n"
    "    .text\n");

#else /* The same in C. */

static int32_t sum_of(const uint32_t *stream, const uint32_t *columns, int32_t steps, int32_t products, int32_t pair,
                      int32_t second) {
    const uint32_t *words = stream + 8 + 2 * pair;
    int32_t first_sum = (int32_t)(stream[pair] - (uint32_t)products);
    int32_t both_sums = (int32_t)stream[4 + pair];
    for (int32_t step = 0; step < steps; step += 2) {
        both_sums = te_dual_mac(words[0], columns[step], both_sums);
        both_sums = te_dual_mac(words[1], columns[step + 1], both_sums);
        first_sum = te_dual_mac(te_add_even_bytes(columns[step + 1], words[0]),
                                te_add_even_bytes(columns[step], words[1]), first_sum);
        words += 8;
    }
    return second ? (int32_t)((uint32_t)both_sums - (uint32_t)first_sum) >> 8 : first_sum;
}

void te_gemm_row_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output, int32_t products) {
    const uint32_t *stream = gemm->packed;
    for (int32_t left = gemm->out_c; left >= TE_GEMM_ROW_CHANNELS; left -= TE_GEMM_ROW_CHANNELS) {
        const uint32_t *const requantisation = stream + 8 + 4 * gemm->steps;
        for (int32_t channel = 0; channel < TE_GEMM_ROW_CHANNELS; ++channel) {
            const int32_t pair = channel / 2;
            const uint32_t *const of = requantisation + 5 * (channel % 2);
            const int32_t sum = sum_of(stream, columns, gemm->steps, products, pair, channel % 2);
            const int32_t shift = (int32_t)(of[0] >> (8 * pair) & 0xffu);
            *output++ = (int8_t)te_gemm_finish_quick(gemm, sum, of[1 + pair], shift);
        }
        stream += te_gemm_row_words(gemm->steps);
    }
}

#endif

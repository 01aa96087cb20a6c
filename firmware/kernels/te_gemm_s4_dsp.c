/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s4_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"
#include "te_gemm_finish_dsp.h"

#if TE_DSP_ASSEMBLY

/* The sums are made as te_gemm_block_dsp.h says; the rest is on the stack, as te_gemm_finish_dsp.h says, and here
 *
 *      sp + 48  -8 times the sum of each pixel's column
 *
 * No register is left to keep a word for its second step, so that reads it again from its second byte on, which brings
 * that step's weights where the first one's were. */
#define TE_UNROLLED_WORDS "4"
__asm__(
    ".syntax unified\n"
    TE_GEMM_BLOCK_MACROS
    ".macro te_step4 advance:req\n"
    "    te_load_step \\advance\n"
    "    and.w r12, r14, #0x000f000f\n"
    "    and.w r14, r14, #0x00f000f0\n"
    "    te_sum_step\n"
    ".endm\n"

    TE_GEMM_FINISH_MACROS

    TE_ASSEMBLY_FUNCTION("te_gemm4_s4_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #68\n"
    "    str r0, [sp, #44]\n"
    "    ldm r0, {r4, r5, r6, r7, r8}\n" /* The stream, steps, channels, stride and zero point. */
    "    ldr r11, [r0, #28]\n"
    "    te_keep_layer\n"
    "    lsr r5, r5, #1\n"
    "    te_keep_entry " TE_UNROLLED_WORDS ", 112\n"
    "    te_keep_finish\n"
    "    mvn r12, #0x00070007\n" /* -8 and -8. */
    "    mov r5, #0\n"
    "    mov r6, #0\n"
    "    mov r7, #0\n"
    "    mov r8, #0\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept 2\n"
    "    ldm r1!, {r9, r10, r11, r14}\n"
    "    smlad r5, r9, r12, r5\n"
    "    smlad r6, r10, r12, r6\n"
    "    smlad r7, r11, r12, r7\n"
    "    smlad r8, r14, r12, r8\n"
    "    .endr\n"
    "    cmp r1, r4\n"
    "    bne 2b\n"
    "    add r1, sp, #48\n"
    "    stm r1, {r5, r6, r7, r8}\n"
    "    .balign 4\n"
    "1:\n"
    "    ldr r6, [r0, #4]\n"
    "    ldr r2, [r0], #8\n"
    "    ldr r11, [sp, #16]\n"
    "    add r1, sp, #48\n"
    "    str r2, [sp, #36]\n"
    "    str r6, [sp, #40]\n"
    "    ldm r1, {r3, r4, r5, r10}\n"
    "    asr r12, r2, r11\n"
    "    asr r6, r6, r11\n"
    "    ldr r1, [sp, #12]\n"
    "    ldr r11, [sp, #8]\n"
    "    lsl r6, r6, #4\n"
    "    add r9, r6, r10, lsl #4\n"
    "    add r8, r6, r5, lsl #4\n"
    "    add r7, r6, r4, lsl #4\n"
    "    add r6, r6, r3, lsl #4\n"
    "    add r2, r12, r3\n"
    "    add r3, r12, r4\n"
    "    add r4, r12, r5\n"
    "    add r5, r12, r10\n"
    "    bx r11\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept " TE_UNROLLED_WORDS "\n"
    "    te_step4 1\n"
    "    te_step4 3\n"
    "    .endr\n"
    "3:\n"
    "    ldr r10, [sp, #0]\n"
    "    cmp r1, r10\n"
    "    bne 2b\n"
    "    ldr r1, [sp, #4]\n"
    "    .irp sum, r6, r7, r8, r9\n"
    "    asr \\sum, \\sum, #4\n"
    "    .endr\n"
    "    bx r1\n"
    "    .balign 4\n"
    "6:\n"
    "    te_plain_four 1\n"
    "    b 5f\n"
    "    .balign 4\n"
    "9:\n"
    "    te_general_four\n"
    "    b 5f\n"
    "    .balign 4\n"
    "4:\n"
    "    te_plain_four 0\n"
    "5:\n"
    "    te_next_outputs\n"
    "    blt 7f\n"
    "    te_store_pairs\n"
    "    str r10, [sp, #20]\n"
    "    str r12, [sp, #28]\n"
    "    bgt 1b\n"
    "    b 8f\n"
    "7:\n" /* The last channel is alone. */
    "    te_store_first_channels\n"
    "8:\n"
    "    add sp, sp, #68\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_gemm4_s4_dsp, . - te_gemm4_s4_dsp\n"

    /* One pixel: r2 and r3 accumulators, r6 what is added to a bias, r7 the mask of a channel's halves, r10 end of the
     * columns, r11 which code finishes accumulators, r12 and r14 a plain layer's biases as in the stream. A word of two
     * steps is 11 instructions and 44 bytes. On the stack:
     *
     *      sp +  0  begin of the columns                   sp + 20  which code finishes accumulators
     *      sp +  4  where the unrolled loop is entered     sp + 24  twice the zero point, and one
     *      sp +  8  -8 times the sum of the columns        sp + 28  output
     *      sp + 12  the mask                               sp + 32  channels left
     *      sp + 16  end of the columns                     sp + 44  the struct */
    TE_ASSEMBLY_FUNCTION("te_gemm1_s4_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #52\n"
    "    str r0, [sp, #44]\n"
    "    ldm r0, {r3, r4, r5}\n"
    "    ldr r6, [r0, #16]\n"
    "    ldr r8, [r0, #28]\n"
    "    mov r0, r3\n"
    "    lsl r6, r6, #1\n"
    "    add r6, r6, #1\n"
    "    strd r6, r2, [sp, #24]\n"
    "    str r5, [sp, #32]\n"
    "    add r10, r1, r4, lsl #2\n"
    "    lsr r4, r4, #1\n"
    "    sub r4, r4, #1\n"
    "    and r4, r4, #7\n"
    "    add r4, r4, #1\n"
    "    mov r9, #44\n"
    "    adr r12, 3f\n"
    "    mls r4, r4, r9, r12\n"
    "    orr r4, r4, #1\n"
    "    mov r6, #0\n"
    "    mvn r7, #0x00070007\n"
    "    mov r3, r1\n"
    "0:\n"
    "    ldrd r11, r12, [r3], #8\n"
    "    smlad r6, r11, r7, r6\n"
    "    smlad r6, r12, r7, r6\n"
    "    cmp r3, r10\n"
    "    bne 0b\n"
    "    mov r7, #0x000f000f\n"
    "    cmp r8, #0\n"
    "    beq 6f\n"
    "    adr r11, 4f\n"
    "    orr r11, r11, #1\n"
    "    stm sp, {r1, r4, r6, r7, r10, r11}\n"
    "1:\n"
    "    ldr r14, [r0, #4]\n"
    "    ldr r12, [r0], #8\n"
    "    ldm sp, {r1, r4, r6, r7, r10, r11}\n"
    "    add r2, r6, r12, asr #8\n"
    "    add r3, r6, r14, asr #8\n"
    "    bx r4\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept 8\n"
    "    ldr.w r4, [r0], #4\n"
    "    ldr.w r9, [r1, #4]\n"
    "    ldr.w r8, [r1], #8\n"
    "    and.w r5, r7, r4\n"
    "    and.w r6, r7, r4, lsr #4\n"
    "    smlad r2, r5, r8, r2\n"
    "    smlad r3, r6, r8, r3\n"
    "    and.w r5, r7, r4, lsr #8\n"
    "    and.w r6, r7, r4, lsr #12\n"
    "    smlad r2, r5, r9, r2\n"
    "    smlad r3, r6, r9, r3\n"
    "    .endr\n"
    "3:\n"
    "    cmp r1, r10\n"
    "    bne 2b\n"
    "    bx r11\n"
    "    .balign 4\n"
    "4:\n"
    "    ldr r11, [r0, #4]\n"
    "    ldr r10, [r0], #8\n"
    "    ldr r7, [sp, #24]\n"
    "    ldr r8, [sp, #28]\n"
    "    ldr r9, [sp, #32]\n"
    "    te_plain_one\n"
    "    strb r2, [r8], #1\n"
    "    subs r9, r9, #2\n"
    "    blt 8f\n"
    "    strb r3, [r8], #1\n"
    "    strd r8, r9, [sp, #28]\n"
    "    bgt 1b\n"
    "8:\n"
    "    add sp, sp, #52\n"
    "    pop {r4-r11, pc}\n"
    "    .balign 4\n"
    "9:\n"
    "    te_general_one\n"
    "    ldrd r8, r9, [sp, #28]\n"
    "    strb r2, [r8], #1\n"
    "    subs r9, r9, #2\n"
    "    blt 8b\n"
    "    strb r3, [r8], #1\n"
    "    strd r8, r9, [sp, #28]\n"
    "    beq 8b\n"
    "    b 7f\n"
    "    .balign 4\n"
    "6:\n"
    "    adr r11, 9b\n"
    "    orr r11, r11, #1\n"
    "    stm sp, {r1, r4, r6, r7, r10, r11}\n"
    "7:\n"
    "    ldrd r2, r3, [r0], #8\n"
    "    ldm sp, {r1, r4, r6, r7, r10, r11}\n"
    "    add r2, r2, r6\n"
    "    add r3, r3, r6\n"
    "    bx r4\n"
    "    .size te_gemm1_s4_dsp, . - te_gemm1_s4_dsp\n"
    "    .text\n");

#else /* The same in C. */

static int32_t sum_of(const te_gemm_s8_dsp *gemm, const uint32_t *words, const uint32_t *columns, int32_t pixels,
                      int32_t second, int32_t sum) {
    for (int32_t step = 0; step < gemm->steps; ++step) {
        const uint32_t weights = words[step / 2] >> (8 * (step & 1) + 4 * second) & 0x000f000fu;
        sum = te_dual_mac(weights, columns[step * pixels], sum);
        sum = te_dual_mac(te_pack(-8, -8), columns[step * pixels], sum);
    }
    return sum;
}

void te_gemm4_s4_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output) {
    te_gemm_in_c(sum_of, gemm->steps / 2, gemm, columns, output, TE_GEMM_PIXELS);
}

void te_gemm1_s4_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output) {
    te_gemm_in_c(sum_of, gemm->steps / 2, gemm, columns, output, 1);
}

#endif

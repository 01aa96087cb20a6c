/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_blocks_s8_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"
#include "te_gemm_finish_dsp.h"

#if TE_DSP_ASSEMBLY

/* Registers while sums are made are those of te_gemm_block_dsp.h, and sums those of a quick layer in te_gemm_s8_dsp.c. On the
 * stack:
 *
 *      sp +  0  where the unrolled loop is entered         sp + 32  output
 *      sp +  4  the pair's weights                         sp + 36  stride of the output
 *      sp +  8  bias of the first channel's sum            sp + 40  end of the columns
 *      sp + 12  bias of both channels' sum                 sp + 44  begin of the columns
 *      sp + 16  end of the pair's weights                  sp + 48  the pair's first output
 *      sp + 20  the first channel's factor                 sp + 52  channels left
 *      sp + 24  the second channel's                       sp + 56  the layer's factor
 *      sp + 28  the zero point                             sp + 60  bytes of a pair's weights
 *
 * The first step of a block takes the biases from two registers, so that its sums need not begin with copies of them, and
 * all its columns at once into registers that are still free. */
__asm__(
    ".syntax unified\n"
    TE_GEMM_BLOCK_MACROS
    TE_GEMM_EIGHT_STEPS_MACROS
    TE_GEMM_FINISH_MACROS

    /* A block's first step, and into the loop of the others. */
    ".macro te_first_step\n"
#if TE_LOADS_APART
    "    ldr.w r0, [sp, #4]\n"
    "    ldr.w r6, [sp, #12]\n"
    "    ldr.w r3, [r1, #4]\n"
    "    ldr.w r2, [sp, #8]\n"
    "    ldr.w r14, [r0], #4\n"
    "    ldr.w r4, [r1, #8]\n"
    "    ldr.w r5, [r1, #12]\n"
    "    ldr.w r10, [r1], #16\n"
    "    sxtb16 r12, r14\n"
    "    smlad r7, r14, r3, r6\n"
    "    smlad r3, r12, r3, r2\n"
    "    smlad r8, r14, r4, r6\n"
    "    smlad r4, r12, r4, r2\n"
    "    smlad r9, r14, r5, r6\n"
    "    smlad r5, r12, r5, r2\n"
    "    ldr.w r11, [r1, #4]\n"
    "    smlad r2, r12, r10, r2\n"
    "    ldr.w r12, [sp, #0]\n"
    "    smlad r6, r14, r10, r6\n"
    "    ldr.w r14, [r0], #4\n"
    "    ldr.w r10, [r1], #8\n"
    "    bx r12\n"
#else
    "    ldr.w r0, [sp, #4]\n"
    "    ldr.w r2, [sp, #8]\n"
    "    ldr.w r6, [sp, #12]\n"
    "    ldr.w r11, [sp, #0]\n"
    "    ldr.w r3, [r1, #4]\n"
    "    ldr.w r4, [r1, #8]\n"
    "    ldr.w r5, [r1, #12]\n"
    "    ldr.w r10, [r1], #16\n"
    "    ldr.w r14, [r0], #4\n"
    "    sxtb16 r12, r14\n"
    "    smlad r7, r14, r3, r6\n"
    "    smlad r3, r12, r3, r2\n"
    "    smlad r8, r14, r4, r6\n"
    "    smlad r4, r12, r4, r2\n"
    "    smlad r9, r14, r5, r6\n"
    "    smlad r5, r12, r5, r2\n"
    "    smlad r6, r14, r10, r6\n"
    "    smlad r2, r12, r10, r2\n"
    "    bx r11\n"
#endif
    ".endm\n"

    TE_ASSEMBLY_FUNCTION("te_gemm_blocks_s8_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #64\n"
    "    ldm r0, {r3, r4, r5, r6, r7}\n" /* The stream, steps, channels, stride and zero point. */
    "    ldrd r8, r9, [r0, #28]\n"
    "    mov r0, r3\n"
    "    mul r9, r9, r4\n"
    "    add r9, r1, r9, lsl #4\n"
    "    te_quick_factor r10, r8, r7\n"
    "    lsl r12, r4, #2\n"
    "    str r7, [sp, #28]\n"
    "    str r6, [sp, #36]\n"
    "    strd r9, r1, [sp, #40]\n"
    "    strd r2, r5, [sp, #48]\n"
    "    strd r10, r12, [sp, #56]\n"
    "    sub r5, r4, #1\n" /* The first step is not of the loop. */
    "    te_keep_entry 8, " TE_GEMM_QUICK_STEP_BYTES ", " TE_GEMM_LAST_STEP_LESS "\n"
    "    str r6, [sp, #0]\n"
    "    .balign 4\n"
    "1:\n" /* The next pair of channels. */
    "    ldr.w r6, [r0, #4]\n"
    "    ldr.w r2, [r0], #8\n"
    "    ldr.w r11, [sp, #56]\n"
    "    ldr.w r12, [sp, #60]\n"
    "    ldr.w r10, [sp, #48]\n"
    "    ldr.w r1, [sp, #44]\n"
    "    lsl r3, r11, r2\n"
    "    lsl r4, r11, r6\n"
    "    add r6, r6, r2, asr #8\n" /* The shift below the second bias is a fraction, and stays one. */
    "    asr r2, r2, #8\n"
    "    add r12, r12, r0\n"
    "    str r0, [sp, #4]\n"
    "    str r2, [sp, #8]\n"
    "    str r6, [sp, #12]\n"
    "    str r12, [sp, #16]\n"
    "    str r3, [sp, #20]\n"
    "    str r4, [sp, #24]\n"
    "    str r10, [sp, #32]\n"
    "    .balign 4\n"
    "4:\n" /* The next block of pixels. */
    "    te_first_step\n"
    "    .balign 4\n"
    "2:\n"
    "    te_eight_steps te_quick_step, 16\n"
    "3:\n"
    "    te_compare_with_end r0, 16, .w\n"
    "    bne.w 2b\n"
    "    ldr.w r11, [r0, #4]\n"
    "    ldr.w r10, [r0]\n"
    "    ldr.w r14, [sp, #28]\n"
    "    ldr.w r12, [sp, #20]\n"
    "    ldr.w r0, [sp, #24]\n"
    "    te_quick_finish r10, r11, r12, r0, r14\n"
    "    ldr.w r0, [sp, #32]\n"
    "    ldr.w r10, [sp, #36]\n"
    "    ldr.w r11, [sp, #40]\n"
    "    ssat r6, #8, r6\n"
    "    bfi r2, r6, #8, #8\n"
    "    ssat r7, #8, r7\n"
    "    strh.w r2, [r0]\n"
    "    add.w r0, r0, r10\n"
    "    bfi r3, r7, #8, #8\n"
    "    ssat r8, #8, r8\n"
    "    strh.w r3, [r0]\n"
    "    add.w r0, r0, r10\n"
    "    bfi r4, r8, #8, #8\n"
    "    ssat r9, #8, r9\n"
    "    strh.w r4, [r0]\n"
    "    add.w r0, r0, r10\n"
    "    bfi r5, r9, #8, #8\n"
    "    strh.w r5, [r0]\n"
    "    add.w r0, r0, r10\n"
    "    cmp.w r1, r11\n"
    "    str.w r0, [sp, #32]\n"
    "    bne.w 4b\n"
    "    ldr r0, [sp, #16]\n"
    "    ldr r11, [sp, #52]\n"
    "    ldr r10, [sp, #48]\n"
    "    add r0, r0, #8\n"
    "    subs r11, r11, #2\n"
    "    add r10, r10, #2\n"
    "    str r11, [sp, #52]\n"
    "    str r10, [sp, #48]\n"
    "    bgt 1b\n"
    "    add sp, sp, #64\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_gemm_blocks_s8_dsp, . - te_gemm_blocks_s8_dsp\n"
    "    .text\n");

#else /* The same in C. */

void te_gemm_blocks_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output) {
    te_gemm_s8_dsp block = *gemm;
    block.blocks = 1;
    for (int32_t left = gemm->blocks; left > 0; --left) {
        te_gemm4_s8_dsp(&block, columns, output);
        columns += TE_GEMM_PIXELS * gemm->steps;
        output += TE_GEMM_PIXELS * gemm->out_stride;
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s8_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"
#include "te_gemm_finish_dsp.h"

#if TE_DSP_ASSEMBLY

#if TE_SMALL
#include "te_gemm_small_s8_dsp.h"
#else

/* The sums are made as te_gemm_block_dsp.h says; the rest is on the stack, as te_gemm_finish_dsp.h says, and here
 *
 *      sp + 28  of two blocks, channels left less 2^30     sp + 52  bytes of a pair's stream
 *      sp + 48  bytes to the other block's columns
 *
 * and of a quick layer, whose code comes first,
 *
 *      sp + 16  the layer's factor                         sp + 36  the first channel's factor
 *      sp + 32  the zero point                             sp + 40  the second channel's
 *
 * There r6 to r9 are sums of both channels, of the first one and 256 times the second one's, which take the word as it is:
 * a step is 13 instructions and 52 bytes, and 16 cycles of a Cortex-M4.
 *
 * Flash with wait states is read through small caches, 1 KB for instructions on the STM32L4: the loop of eight steps and
 * what finishes its sums fit in it together. */
__asm__(
    ".syntax unified\n"
    TE_GEMM_BLOCK_MACROS
    TE_GEMM_EIGHT_STEPS_MACROS
    TE_GEMM_FINISH_MACROS

    /* Two blocks: from the first to the second of the same pair, or from there to the first of the next. */
    ".macro te_next_block\n"
    "    te_store_pairs\n"
    "    ldr r2, [sp, #0]\n"
    "    ldr r3, [sp, #12]\n"
    "    ldr r14, [sp, #48]\n"
    "    ldr r4, [sp, #52]\n"
    "    add r2, r2, r14\n"
    "    add r3, r3, r14\n"
    "    str r2, [sp, #0]\n"
    "    str r3, [sp, #12]\n"
    "    rsbs r14, r14, #0\n"
    "    str r14, [sp, #48]\n"
    "    bgt 12f\n"
    "    sub r10, r10, #2\n"
    "    add r10, r10, r11, lsl #2\n"
    "    sub r0, r0, r4\n"
    "    str r10, [sp, #20]\n"
    "    b 1b\n"
    "12:\n"
    "    sub r10, r10, r11, lsl #2\n"
    "    adds r14, r12, #0x40000000\n"
    "    str r10, [sp, #20]\n"
    "    str r12, [sp, #28]\n"
    "    bgt 1b\n"
    "    b 8b\n"
    ".endm\n"

    TE_ASSEMBLY_FUNCTION("te_gemm4_s8_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #56\n"
    "    str r0, [sp, #44]\n"
    "    ldm r0, {r4, r5, r6, r7, r8}\n" /* The stream, steps, channels, stride and zero point. */
    "    ldrd r11, r12, [r0, #28]\n"
    "    lsl r9, r5, #4\n"
    "    add r10, r5, #4\n" /* A pair has four words beside its steps, */
    "    cmp r11, #0\n"
    "    it eq\n"
    "    addeq r10, r10, #1\n" /* or five. */
    "    lsl r10, r10, #2\n"
    "    strd r9, r10, [sp, #48]\n"
    "    cmp r12, #2\n"
    "    it eq\n"
    "    subeq r6, r6, #0x40000000\n"
    "    cmp r11, #1\n"
    "    bls.w 20f\n"
    "    mov r0, r4\n"
    "    add r4, r1, r9\n"
    "    str r4, [sp, #0]\n"
    "    strd r2, r7, [sp, #20]\n"
    "    strd r6, r8, [sp, #28]\n"
    "    te_keep_entry 8, " TE_GEMM_QUICK_STEP_BYTES ", " TE_GEMM_LAST_STEP_LESS "\n"
    "    te_quick_factor r5, r11, r8\n"
    "    strd r6, r1, [sp, #8]\n"
    "    str r5, [sp, #16]\n"
    "    .balign 4\n"
    "1:\n"
    "    ldr r11, [sp, #16]\n"
    "    ldr.w r6, [r0, #4]\n"
    "    ldr r2, [r0], #8\n"
    "    ldr.w r1, [sp, #12]\n"
    "    ldr r10, [sp, #8]\n"
    "    lsl r3, r11, r6\n"
    "    lsl r12, r11, r2\n"
    "    add r6, r6, r2, asr #8\n" /* The shift below the second bias is a fraction, and stays one. */
    "    str.w r3, [sp, #40]\n"
    "    asr r2, r2, #8\n"
    "    str r12, [sp, #36]\n"
    "    te_begin_steps\n"
    "    .balign 4\n"
    "2:\n"
    "    te_eight_steps te_quick_step, 0\n"
    "3:\n"
    "    te_compare_with_end r1, 0\n"
    "    bne 2b\n"
    "    ldr r11, [r0, #4]\n"
    "    ldr r10, [r0], #8\n"
    "    ldr.w r1, [sp, #36]\n"
    "    ldr r14, [sp, #32]\n"
    "    ldr r12, [sp, #40]\n"
    "    te_quick_finish r10, r11, r1, r12, r14\n"
    "    ldr r10, [sp, #20]\n" /* As te_next_outputs. */
    "    ldr r11, [sp, #24]\n"
    "    ldr r12, [sp, #28]\n"
    "    ssat r6, #8, r6\n"
    "    ssat r7, #8, r7\n"
    "    add r1, r10, r11\n"
    "    ssat r8, #8, r8\n"
    "    subs r12, r12, #2\n"
    "    ssat r9, #8, r9\n"
    "    blt.w 7f\n"
    "    te_store_pairs\n"
    "    str r10, [sp, #20]\n"
    "    str r12, [sp, #28]\n"
    "    bgt 1b\n"
    "    b 8f\n"
    "7:\n"
    "    cmn r12, #1\n"
    "    bne 11f\n"
    "    te_store_first_channels\n" /* The last channel is alone. */
    "8:\n"
    "    add sp, sp, #56\n"
    "    pop {r4-r11, pc}\n"
    "11:\n"
    "    te_next_block\n"

    "20:\n" /* All other layers. */
    "    te_keep_layer\n"
    "    te_keep_entry 8, " TE_GEMM_STEP_BYTES ", " TE_GEMM_LAST_STEP_LESS "\n"
    "    te_keep_finish\n"
    "    .balign 4\n"
    "1:\n"
    "    ldr r6, [r0, #4]\n"
    "    ldr r2, [r0], #8\n"
    "    ldr r11, [sp, #16]\n"
    "    ldr r1, [sp, #12]\n"
    "    ldr r10, [sp, #8]\n"
    "    str r2, [sp, #36]\n"
    "    str r6, [sp, #40]\n"
    "    asr r2, r2, r11\n"
    "    asr r6, r6, r11\n"
    "    te_begin_steps\n"
    "    .balign 4\n"
    "2:\n"
    "    te_eight_steps te_step_of_bytes, 0\n"
    "3:\n"
    "    te_compare_with_end r1, 0\n"
    "    bne 2b\n"
    "    ldr pc, [sp, #4]\n"
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
    "    b 8b\n"
    "7:\n"
    "    cmn r12, #1\n"
    "    bne 11f\n"
    "    te_store_first_channels\n" /* The last channel is alone. */
    "    b 8b\n"
    "11:\n"
    "    te_next_block\n"
    "    .balign 4\n"
    "6:\n"
    "    te_plain_four 1\n"
    "    b 5b\n"
    "    .balign 4\n"
    "9:\n"
    "    te_general_four\n"
    "    b 5b\n"
    "    .size te_gemm4_s8_dsp, . - te_gemm4_s8_dsp\n"

    /* One pixel: r2 and r3 accumulators, r10 end of the columns, r11 which code finishes accumulators, r12 and r14 a plain
     * layer's biases as in the stream; the rest as above. Two steps are 10 instructions and 40 bytes, and 11 cycles of a
     * quick layer, where r3 is the sum of both channels. On the stack:
     *
     *      sp +  0  begin of the columns                   sp + 16  twice the zero point, and one; of a quick layer the zero point
     *      sp +  4  where the unrolled loop is entered     sp + 20  output
     *      sp +  8  end of the columns                     sp + 24  channels left
     *      sp + 12  which code finishes accumulators       sp + 44  the struct
     *      sp + 28  the factor that a shift is added to */
    TE_ASSEMBLY_FUNCTION("te_gemm1_s8_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #48\n"
    "    str r0, [sp, #44]\n"
    "    ldm r0, {r3, r4, r5}\n"
    "    ldrd r6, r7, [r0, #16]\n"
    "    ldr r8, [r0, #28]\n"
    "    cmp r8, #1\n"
    "    bls.w 20f\n"
    "    mov r0, r3\n"
    "    add r10, r1, r4, lsl #2\n"
    "    lsr r4, r4, #1\n"
    "    sub r4, r4, #1\n"
    "    and r4, r4, #7\n"
    "    add r4, r4, #1\n"
    "    mov r9, #40\n"
    "    adr r12, 3f\n"
    "    mls r4, r4, r9, r12\n"
    "    orr r4, r4, #1\n"
    "    te_quick_factor r9, r8, r6\n"
    "    strd r1, r4, [sp, #0]\n"
    "    str r10, [sp, #8]\n"
    "    strd r6, r2, [sp, #16]\n"
    "    strd r5, r9, [sp, #24]\n"
    "    .balign 4\n"
    "1:\n"
    "    ldr r14, [r0, #4]\n"
    "    ldr r12, [r0], #8\n"
    "    ldr r1, [sp, #0]\n"
    "    ldr r4, [sp, #4]\n"
    "    ldr r10, [sp, #8]\n"
    "    asr r2, r12, #8\n"
    "    add r3, r14, r12, asr #8\n" /* The shift below the second bias is a fraction, and stays one. */
    "    bx r4\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept 8\n"
    "    ldr.w r7, [r1, #4]\n"
    "    ldr.w r6, [r1], #8\n"
    "    ldr.w r5, [r0, #4]\n"
    "    ldr.w r4, [r0], #8\n"
    "    smlad r3, r5, r7, r3\n"
    "    sxtb16 r5, r5\n"
    "    smlad r3, r4, r6, r3\n"
    "    sxtb16 r4, r4\n"
    "    smlad r2, r5, r7, r2\n"
    "    smlad r2, r4, r6, r2\n"
    "    .endr\n"
    "3:\n"
    "    cmp r1, r10\n"
    "    bne 2b\n"
    "    ldr r11, [r0, #4]\n"
    "    ldr r10, [r0], #8\n"
    "    ldr r7, [sp, #16]\n"
    "    ldr r8, [sp, #20]\n"
    "    ldr r9, [sp, #24]\n"
    "    ldr r5, [sp, #28]\n"
    "    sub r3, r3, r2\n"
    "    asr r3, r3, #8\n"
    "    lsl r4, r5, r12\n"
    "    lsl r5, r5, r14\n"
    "    smmlar r2, r2, r10, r2\n"
    "    smmlar r3, r3, r11, r3\n"
    "    smmlar r2, r2, r4, r7\n"
    "    smmlar r3, r3, r5, r7\n"
    "    ssat r2, #8, r2\n"
    "    ssat r3, #8, r3\n"
    "    strb r2, [r8], #1\n"
    "    subs r9, r9, #2\n"
    "    blt 8f\n"
    "    strb r3, [r8], #1\n"
    "    str r8, [sp, #20]\n"
    "    str r9, [sp, #24]\n"
    "    bgt 1b\n"
    "    b 8f\n"

    "20:\n" /* All other layers. */
    "    mov r0, r3\n"
    "    add r10, r1, r4, lsl #2\n"
    "    lsrs r4, r4, #1\n"
    "    subs r4, r4, #1\n"
    "    and r4, r4, #7\n"
    "    adds r4, r4, #1\n"
    "    movs r9, #40\n"
    "    adr r12, 3f\n"
    "    mls r4, r4, r9, r12\n"
    "    orr r4, r4, #1\n"
    "    adds r6, r6, r6\n"
    "    adds r6, r6, #1\n"
    "    strd r6, r2, [sp, #16]\n"
    "    str r5, [sp, #24]\n"
    "    adr r11, 4f\n"
    "    orr r11, r11, #1\n"
    "    cmp r8, #0\n"
    "    beq 6f\n"
    "    stm sp, {r1, r4, r10, r11}\n"
    "1:\n"
    "    ldrd r12, r14, [r0], #8\n"
    "    ldm sp, {r1, r4, r10, r11}\n"
    "    asr r2, r12, #8\n"
    "    asr r3, r14, #8\n"
    "    bx r4\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept 8\n"
    "    ldrd r4, r5, [r0], #8\n"
    "    ldrd r6, r7, [r1], #8\n"
    "    sxtb16 r8, r4\n"
    "    sxtb16 r4, r4, ror #8\n"
    "    sxtb16 r9, r5\n"
    "    sxtb16 r5, r5, ror #8\n"
    "    smlad r2, r8, r6, r2\n"
    "    smlad r3, r4, r6, r3\n"
    "    smlad r2, r9, r7, r2\n"
    "    smlad r3, r5, r7, r3\n"
    "    .endr\n"
    "3:\n"
    "    cmp r1, r10\n"
    "    bne 2b\n"
    "    bx r11\n"
    "    .balign 4\n"
    "4:\n"
    "    ldrd r10, r11, [r0], #8\n"
    "    ldm sp, {r1, r4, r5, r6, r7, r8, r9}\n" /* Of which r7 to r9 are meant. */
    "    te_plain_one\n"
    "    strb r2, [r8], #1\n"
    "    subs r9, r9, #2\n"
    "    blt 8f\n"
    "    strb r3, [r8], #1\n"
    "    strd r8, r9, [sp, #20]\n"
    "    bgt 1b\n"
    "8:\n"
    "    add sp, sp, #48\n"
    "    pop {r4-r11, pc}\n"
    "    .balign 4\n"
    "9:\n"
    "    te_general_one\n"
    "    ldrd r8, r9, [sp, #20]\n"
    "    strb r2, [r8], #1\n"
    "    subs r9, r9, #2\n"
    "    blt 8b\n"
    "    strb r3, [r8], #1\n"
    "    strd r8, r9, [sp, #20]\n"
    "    beq 8b\n"
    "    b 7f\n"
    "    .balign 4\n"
    "6:\n"
    "    adr r11, 9b\n"
    "    orr r11, r11, #1\n"
    "    stm sp, {r1, r4, r10, r11}\n"
    "7:\n"
    "    ldrd r2, r3, [r0], #8\n"
    "    ldm sp, {r1, r4, r10, r11}\n"
    "    bx r4\n"
    "    .size te_gemm1_s8_dsp, . - te_gemm1_s8_dsp\n"
    "    .text\n");

#endif

__asm__(
    ".syntax unified\n"
    TE_ASSEMBLY_FUNCTION("te_widen4_dsp")
    "    push {r4-r11, lr}\n"
    "    ldm r1, {r3, r8, r9, r10}\n"
    "1:\n"
    "    ldr r4, [r3], #4\n"
    "    ldr r5, [r8], #4\n"
    "    ldr r6, [r9], #4\n"
    "    ldr r7, [r10], #4\n"
    "    sxtb16 r1, r4\n"
    "    sxtb16 r11, r5\n"
    "    str r1, [r0], #32\n" /* A store takes a cycle; of several in one instruction, the instruction takes one more. */
    "    sxtb16 r12, r6\n"
    "    str r11, [r0, #-28]\n"
    "    sxtb16 r14, r7\n"
    "    str r12, [r0, #-24]\n"
    "    sxtb16 r1, r4, ror #8\n"
    "    str r14, [r0, #-20]\n"
    "    sxtb16 r11, r5, ror #8\n"
    "    str r1, [r0, #-16]\n"
    "    sxtb16 r12, r6, ror #8\n"
    "    str r11, [r0, #-12]\n"
    "    sxtb16 r14, r7, ror #8\n"
    "    str r12, [r0, #-8]\n"
    "    subs r2, r2, #1\n"
    "    str r14, [r0, #-4]\n"
    "    bne 1b\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_widen4_dsp, . - te_widen4_dsp\n"
    "    .text\n");

#else /* The same in C. */

static int32_t sum_of(const te_gemm_s8_dsp *gemm, const uint32_t *words, const uint32_t *columns, int32_t pixels,
                      int32_t second, int32_t sum) {
    for (int32_t step = 0; step < gemm->steps; ++step) {
        const uint32_t word = words[step];
        uint32_t weights = te_even_bytes(word);
        if (second) {
            weights = gemm->plain > 1 ? te_odd_bytes(te_subtract_halves(word, weights)) : te_odd_bytes(word);
        }
        sum = te_dual_mac(weights, columns[step * pixels], sum);
    }
    return sum;
}

void te_gemm4_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output) {
    te_gemm_in_c(sum_of, gemm->steps, gemm, columns, output, TE_GEMM_PIXELS);
    if (gemm->blocks == 2) {
        columns += TE_GEMM_PIXELS * gemm->steps;
        output += TE_GEMM_PIXELS * gemm->out_stride;
        te_gemm_in_c(sum_of, gemm->steps, gemm, columns, output, TE_GEMM_PIXELS);
    }
}

void te_gemm1_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output) {
    te_gemm_in_c(sum_of, gemm->steps, gemm, columns, output, 1);
}

uint32_t *te_widen4_dsp(uint32_t *columns, const int8_t *const sources[4], int32_t words) {
    for (int32_t word = 0; word < words; ++word) {
        for (int32_t pixel = 0; pixel < TE_GEMM_PIXELS; ++pixel) {
            const uint32_t bytes = te_load4(sources[pixel] + 4 * word);
            columns[8 * word + pixel] = te_even_bytes(bytes);
            columns[8 * word + 4 + pixel] = te_odd_bytes(bytes);
        }
    }
    return columns + 8 * words;
}

#endif

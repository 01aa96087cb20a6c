/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s16_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"

/* Words of a pair of channels' stream beside its steps. */
#define BIAS_WORDS 2
#define MULTIPLIER_WORDS 2

static inline int32_t finish(const te_gemm_s16_dsp *gemm, int32_t sum, uint32_t multiplier) {
    const int32_t scaled = te_rounded_high(sum, (int32_t)multiplier);
    const int32_t floored = scaled < te_low(gemm->output_min) ? te_low(gemm->output_min) : scaled;
    return floored > te_low(gemm->output_max) ? te_low(gemm->output_max) : floored;
}

#if TE_DSP_ASSEMBLY

/* The sums are made as te_gemm_block_dsp.h says. On the stack:
 *
 *      sp +  0  end of the columns                         sp + 16  output
 *      sp +  4  where the unrolled loop is entered         sp + 20  stride of the output
 *      sp +  8  begin of the columns                       sp + 24  the limits of the output, in pairs
 *      sp + 12  channels left                              sp + 32  whether they are the full range */
__asm__(
    ".syntax unified\n"
    TE_GEMM_BLOCK_MACROS
    TE_GEMM_EIGHT_STEPS_MACROS

    TE_ASSEMBLY_FUNCTION("te_gemm4_s16_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #36\n"
    "    ldm r0, {r4, r5, r6, r7, r8, r9, r10}\n" /* The struct. */
    "    mov r0, r4\n"
    "    add r4, r1, r5, lsl #4\n"
    "    sub r5, r5, #1\n"
    "    and r5, r5, #7\n"
    "    add r5, r5, #1\n" /* Steps of the first time through the loop. */
    "    mov r11, #" TE_GEMM_STEP_BYTES "\n"
    "    adr r12, 3f + " TE_GEMM_LAST_STEP_LESS "\n"
    "    mls r5, r5, r11, r12\n"
    "    orr r5, r5, #1\n"
    "    strd r4, r5, [sp, #0]\n"
    "    strd r1, r6, [sp, #8]\n"
    "    strd r2, r7, [sp, #16]\n"
    "    strd r8, r9, [sp, #24]\n"
    "    str r10, [sp, #32]\n"
    "    .balign 4\n"
    "1:\n"
    "    ldr r6, [r0, #4]\n"
    "    ldr r2, [r0], #8\n"
    "    ldr r1, [sp, #8]\n"
    "    ldr r10, [sp, #4]\n"
    "    te_begin_steps\n"
    "    .balign 4\n"
    "2:\n"
    "    te_eight_steps te_step_of_bytes, 0\n"
    "3:\n"
    "    te_compare_with_end r1, 0\n"
    "    bne 2b\n"
    "    ldr r11, [r0, #4]\n"
    "    ldr r10, [r0], #8\n"
    "    ldr r14, [sp, #32]\n"
    "    .irp sum, r2, r3, r4, r5\n"
    "    smmulr \\sum, \\sum, r10\n"
    "    .endr\n"
    "    .irp sum, r6, r7, r8, r9\n"
    "    smmulr \\sum, \\sum, r11\n"
    "    .endr\n"
    "    .irp sum, r2, r3, r4, r5, r6, r7, r8, r9\n"
    "    ssat \\sum, #16, \\sum\n"
    "    .endr\n"
    "    pkhbt r2, r2, r6, lsl #16\n" /* Both channels' outputs of a pixel in one word. */
    "    pkhbt r3, r3, r7, lsl #16\n"
    "    pkhbt r4, r4, r8, lsl #16\n"
    "    pkhbt r5, r5, r9, lsl #16\n"
    "    cmp r14, #0\n"
    "    bne 4f\n"
    "    ldrd r10, r11, [sp, #24]\n"
    "    .irp pair, r2, r3, r4, r5\n"
    "    ssub16 r12, \\pair, r10\n"
    "    sel \\pair, \\pair, r10\n"
    "    ssub16 r12, r11, \\pair\n"
    "    sel \\pair, \\pair, r11\n"
    "    .endr\n"
    "4:\n"
    "    ldr r12, [sp, #12]\n"
    "    ldr r10, [sp, #16]\n"
    "    ldr r11, [sp, #20]\n"
    "    subs r12, r12, #2\n"
    "    add r1, r10, r11\n"
    "    blt 5f\n"
    "    str r2, [r10], #4\n"
    "    str r3, [r1]\n"
    "    str r4, [r1, r11]\n"
    "    str r5, [r1, r11, lsl #1]\n"
    "    strd r12, r10, [sp, #12]\n"
    "    bgt 1b\n"
    "    b 6f\n"
    "5:\n"
    "    strh r2, [r10]\n" /* The last channel is alone. */
    "    strh r3, [r1]\n"
    "    strh r4, [r1, r11]\n"
    "    strh r5, [r1, r11, lsl #1]\n"
    "6:\n"
    "    add sp, sp, #36\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_gemm4_s16_dsp, . - te_gemm4_s16_dsp\n"
    "    .text\n");

#else /* The same in C, one channel and pixel at a time. */

void te_gemm4_s16_dsp(const te_gemm_s16_dsp *gemm, const uint32_t *columns, int16_t *output) {
    const uint32_t *stream = gemm->packed;
    for (int32_t channel = 0; channel < gemm->out_c; ++channel) {
        const int32_t second = channel & 1;
        const uint32_t *words = stream + BIAS_WORDS;
        for (int32_t pixel = 0; pixel < TE_GEMM_PIXELS; ++pixel) {
            int32_t sum = (int32_t)stream[second];
            for (int32_t step = 0; step < gemm->steps; ++step) {
                const uint32_t weights = second ? te_odd_bytes(words[step]) : te_even_bytes(words[step]);
                sum = te_dual_mac(weights, columns[TE_GEMM_PIXELS * step + pixel], sum);
            }
            output[pixel * gemm->out_stride / 2 + channel] =
                (int16_t)finish(gemm, sum, words[gemm->steps + second]);
        }
        if (second) {
            stream = words + gemm->steps + MULTIPLIER_WORDS;
        }
    }
}

#endif

void te_gemm1_s16_dsp(const te_gemm_s16_dsp *gemm, const int16_t *column, int16_t *output) {
    const uint32_t *stream = gemm->packed;
    for (int32_t left = gemm->out_c; left > 0; left -= 2) {
        int32_t first = (int32_t)stream[0];
        int32_t second = (int32_t)stream[1];
        const int16_t *values = column;
        stream += BIAS_WORDS;
        for (int32_t step = gemm->steps; step > 0; --step) {
            const uint32_t weights = *stream++;
            const uint32_t pair = te_load4(values);
            first = te_dual_mac(te_even_bytes(weights), pair, first);
            second = te_dual_mac(te_odd_bytes(weights), pair, second);
            values += 2;
        }
        *output++ = (int16_t)finish(gemm, first, stream[0]);
        if (left > 1) {
            *output++ = (int16_t)finish(gemm, second, stream[1]);
        }
        stream += MULTIPLIER_WORDS;
    }
}

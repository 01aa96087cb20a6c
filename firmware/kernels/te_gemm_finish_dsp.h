/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_finish_dsp.h
 *  Accumulators to outputs: what the matrix products te_gemm_s8_dsp.c and te_gemm_s4_dsp.c have in common beside
 *  te_gemm_block_dsp.h. The right shift, half a unit, zero point and clamp range are those of te_gemm_s8_dsp.h.
 *
 *  In assembly, no register is left for what is the same for all steps of four pixels, so that is on the stack:
 *
 *      sp +  0  end of the columns                         sp + 24  stride of the output
 *      sp +  4  which code finishes accumulators           sp + 28  channels left
 *      sp +  8  where the unrolled loop is entered         sp + 32  twice the zero point, and one
 *      sp + 12  begin of the columns                       sp + 36  the first channel's bias, as in the stream
 *      sp + 16  by how much a bias is shifted              sp + 40  the second channel's
 *      sp + 20  output                                     sp + 44  the struct */
#ifndef TE_GEMM_FINISH_DSP_H
#define TE_GEMM_FINISH_DSP_H

#include <stdint.h>

#include "te_gemm_s8_dsp.h"
#include "te_requantise.h"

#if TE_DSP_ASSEMBLY

/** Macros of the assembler: r0 reads the weight stream. */
#define TE_GEMM_FINISH_MACROS                                                                                         \
    /* The struct's first members are in r4 to r8: r0 becomes the stream, and r4 the end of the columns. */           \
    ".macro te_keep_layer\n"                                                                                          \
    "    mov r0, r4\n"                                                                                                \
    "    lsl r9, r8, #1\n"                                                                                            \
    "    add r9, r9, #1\n"                                                                                            \
    "    strd r2, r7, [sp, #20]\n"                                                                                    \
    "    strd r6, r9, [sp, #28]\n"                                                                                    \
    "    add r4, r1, r5, lsl #4\n"                                                                                    \
    ".endm\n"                                                                                                         \
    /* Where the unrolled loop before 3 is entered, in r6, of r5 rounds of so many bytes, the last of so many less. */\
    ".macro te_keep_entry unrolled:req, bytes:req, less=0\n"                                                          \
    "    sub r5, r5, #1\n"                                                                                            \
    "    and r5, r5, #\\unrolled - 1\n"                                                                               \
    "    add r5, r5, #1\n" /* Rounds of the first time through the loop. */                                           \
    "    mov r6, #\\bytes\n"                                                                                          \
    "    adr r7, 3f + \\less\n"                                                                                       \
    "    mls r6, r5, r6, r7\n"                                                                                        \
    "    orr r6, r6, #1\n"                                                                                            \
    ".endm\n"                                                                                                         \
    /* Which code finishes accumulators: at 9, at 6 of a plain layer (r11), at 4 of one with the zero point -128. */  \
    ".macro te_keep_finish\n"                                                                                         \
    "    adr r5, 9f\n"                                                                                                \
    "    lsls r11, r11, #3\n"                                                                                         \
    "    beq 0f\n"                                                                                                    \
    "    adr r5, 6f\n"                                                                                                \
    "    cmp r9, #-255\n"                                                                                             \
    "    bne 0f\n"                                                                                                    \
    "    adr r5, 4f\n"                                                                                                \
    "0:\n"                                                                                                            \
    "    orr r5, r5, #1\n"                                                                                            \
    "    strd r4, r5, [sp, #0]\n"                                                                                     \
    "    strd r6, r1, [sp, #8]\n"                                                                                     \
    "    str r11, [sp, #16]\n"                                                                                        \
    ".endm\n"                                                                                                         \
    /* te_quick_factor() of te_dsp.h; `right` is lost. */                                                             \
    ".macro te_quick_factor factor:req, right:req, zero_point:req\n"                                                  \
    "    rsb \\right, \\right, #32\n"                                                                                 \
    "    mov \\factor, #1\n"                                                                                          \
    "    lsl \\factor, \\factor, \\right\n"                                                                           \
    "    cmn \\zero_point, #128\n"                                                                                    \
    "    it ne\n"                                                                                                     \
    "    addne \\factor, \\factor, #1\n"                                                                              \
    ".endm\n"                                                                                                         \
    /* Sums of both channels, in r6 to r9, and of the first one, in r2 to r5, to outputs of a quick layer, of which the second\
     * channel's are still to be saturated. Before each multiplication is what a Cortex-M7 does beside it. */         \
    ".macro te_quick_finish multiplier:req, multiplier2:req, factor:req, factor2:req, zero:req\n"                     \
    "    sub r6, r6, r2\n"                                                                                            \
    "    smmlar r2, r2, \\multiplier, r2\n"                                                                           \
    "    sub r7, r7, r3\n"                                                                                            \
    "    smmlar r3, r3, \\multiplier, r3\n"                                                                           \
    "    sub r8, r8, r4\n"                                                                                            \
    "    smmlar r4, r4, \\multiplier, r4\n"                                                                           \
    "    sub r9, r9, r5\n"                                                                                            \
    "    smmlar r5, r5, \\multiplier, r5\n"                                                                           \
    "    asr r6, r6, #8\n"                                                                                            \
    "    smmlar r2, r2, \\factor, \\zero\n"                                                                           \
    "    asr r7, r7, #8\n"                                                                                            \
    "    smmlar r3, r3, \\factor, \\zero\n"                                                                           \
    "    asr r8, r8, #8\n"                                                                                            \
    "    smmlar r4, r4, \\factor, \\zero\n"                                                                           \
    "    asr r9, r9, #8\n"                                                                                            \
    "    smmlar r5, r5, \\factor, \\zero\n"                                                                           \
    "    ssat r2, #8, r2\n"                                                                                           \
    "    smmlar r6, r6, \\multiplier2, r6\n"                                                                          \
    "    ssat r3, #8, r3\n"                                                                                           \
    "    smmlar r7, r7, \\multiplier2, r7\n"                                                                          \
    "    ssat r4, #8, r4\n"                                                                                           \
    "    smmlar r8, r8, \\multiplier2, r8\n"                                                                          \
    "    ssat r5, #8, r5\n"                                                                                           \
    "    smmlar r9, r9, \\multiplier2, r9\n"                                                                          \
    "    smmlar r6, r6, \\factor2, \\zero\n"                                                                          \
    "    smmlar r7, r7, \\factor2, \\zero\n"                                                                          \
    "    smmlar r8, r8, \\factor2, \\zero\n"                                                                          \
    "    smmlar r9, r9, \\factor2, \\zero\n"                                                                          \
    ".endm\n"                                                                                                         \
    /* Both channels' accumulators to outputs: r10 and r11 the multipliers, r1 and r12 the biases with the shifts, of \
     * which an instruction that shifts by a register takes the lowest byte. */                                       \
    ".macro te_plain_pair\n"                                                                                          \
    "    ldr r11, [r0, #4]\n"                                                                                         \
    "    ldr r10, [r0], #8\n"                                                                                         \
    "    ldr r14, [sp, #32]\n"                                                                                        \
    "    ldr r1, [sp, #36]\n"                                                                                         \
    "    ldr r12, [sp, #40]\n"                                                                                        \
    ".endm\n"                                                                                                         \
    /* Negative accumulators are rounded away from zero; with the zero point -128 all become -128 in any case. */     \
    ".macro te_plain_channel signed:req, multiplier:req, shift:req, first:req, more:vararg\n"                         \
    "    .irp sum, \\first, \\more\n"                                                                                 \
    "    smmlar \\sum, \\sum, \\multiplier, \\sum\n"                                                                  \
    "    .endr\n"                                                                                                     \
    "    lsl \\multiplier, r14, \\shift\n" /* Half a unit, and the zero point above it. */                            \
    "    .if \\signed\n"                                                                                              \
    "    .irp sum, \\first, \\more\n"                                                                                 \
    "    add \\sum, \\sum, \\sum, asr #31\n"                                                                          \
    "    .endr\n"                                                                                                     \
    "    .endif\n"                                                                                                    \
    "    .irp sum, \\first, \\more\n"                                                                                 \
    "    add \\sum, \\sum, \\multiplier\n"                                                                            \
    "    asr \\sum, \\sum, \\shift\n"                                                                                 \
    "    ssat \\sum, #8, \\sum, asr #1\n"                                                                             \
    "    .endr\n"                                                                                                     \
    ".endm\n"                                                                                                         \
    /* Here the shifts are a word after the multipliers: r1 becomes the right one and r14 the left one. */            \
    ".macro te_general_channel multiplier:req, first:req, more:vararg\n"                                              \
    "    cmp r1, #0\n"                                                                                                \
    "    .irp sum, \\first, \\more\n"                                                                                 \
    "    lsl \\sum, \\sum, r14\n"                                                                                     \
    "    smmlar \\sum, \\sum, \\multiplier, \\sum\n"                                                                  \
    "    it ne\n"                                                                                                     \
    "    addne \\sum, \\sum, \\sum, asr #31\n"                                                                        \
    "    .endr\n"                                                                                                     \
    "    mov r14, #1\n"                                                                                               \
    "    lsl \\multiplier, r14, r1\n"                                                                                 \
    "    lsr \\multiplier, \\multiplier, #1\n"                                                                        \
    "    .irp sum, \\first, \\more\n"                                                                                 \
    "    add \\sum, \\sum, \\multiplier\n"                                                                            \
    "    asr \\sum, \\sum, r1\n"                                                                                      \
    "    .endr\n"                                                                                                     \
    "    ldr r14, [sp, #44]\n"                                                                                        \
    "    ldr \\multiplier, [r14, #16]\n"                                                                              \
    "    ldrd r1, r14, [r14, #20]\n"                                                                                  \
    "    .irp sum, \\first, \\more\n"                                                                                 \
    "    add \\sum, \\sum, \\multiplier\n"                                                                            \
    "    cmp \\sum, r1\n"                                                                                             \
    "    it lt\n"                                                                                                     \
    "    movlt \\sum, r1\n"                                                                                           \
    "    cmp \\sum, r14\n"                                                                                            \
    "    it gt\n"                                                                                                     \
    "    movgt \\sum, r14\n"                                                                                          \
    "    .endr\n"                                                                                                     \
    ".endm\n"                                                                                                         \
    ".macro te_general_pair\n"                                                                                        \
    "    ldm r0!, {r10, r11, r12}\n"                                                                                  \
    "    uxtb r1, r12\n"                                                                                              \
    "    ubfx r14, r12, #16, #8\n"                                                                                    \
    ".endm\n"                                                                                                         \
    ".macro te_general_second\n"                                                                                      \
    "    ubfx r1, r12, #8, #8\n"                                                                                      \
    "    lsr r14, r12, #24\n"                                                                                         \
    ".endm\n"                                                                                                         \
    /* The same of four pixels: the code after 6 or 4, and after 9. */                                                \
    ".macro te_plain_four signed:req\n"                                                                               \
    "    te_plain_pair\n"                                                                                             \
    "    te_plain_channel \\signed, r10, r1, r2, r3, r4, r5\n"                                                        \
    "    te_plain_channel \\signed, r11, r12, r6, r7, r8, r9\n"                                                       \
    ".endm\n"                                                                                                         \
    ".macro te_general_four\n"                                                                                        \
    "    te_general_pair\n"                                                                                           \
    "    te_general_channel r10, r2, r3, r4, r5\n"                                                                    \
    "    te_general_second\n"                                                                                         \
    "    te_general_channel r11, r6, r7, r8, r9\n"                                                                    \
    ".endm\n"                                                                                                         \
    /* And of one pixel, in r2 and r3: r7 twice the zero point, and one, r12 and r14 the biases with the shifts. */   \
    ".macro te_plain_one\n"                                                                                           \
    "    smmlar r2, r2, r10, r2\n"                                                                                    \
    "    smmlar r3, r3, r11, r3\n"                                                                                    \
    "    lsl r4, r7, r12\n" /* Half a unit, and the zero point above it. */                                           \
    "    lsl r5, r7, r14\n"                                                                                           \
    "    add r2, r2, r2, asr #31\n"                                                                                   \
    "    add r3, r3, r3, asr #31\n"                                                                                   \
    "    add r2, r2, r4\n"                                                                                            \
    "    add r3, r3, r5\n"                                                                                            \
    "    asr r2, r2, r12\n"                                                                                           \
    "    asr r3, r3, r14\n"                                                                                           \
    "    ssat r2, #8, r2, asr #1\n"                                                                                   \
    "    ssat r3, #8, r3, asr #1\n"                                                                                   \
    ".endm\n"                                                                                                         \
    ".macro te_general_one\n"                                                                                         \
    "    te_general_pair\n"                                                                                           \
    "    te_general_channel r10, r2\n"                                                                                \
    "    te_general_second\n"                                                                                         \
    "    te_general_channel r11, r3\n"                                                                                \
    ".endm\n"                                                                                                         \
    /* The first pixel's output in r10, the second's in r1, their stride in r11, channels left after these in r12. */ \
    ".macro te_next_outputs\n"                                                                                        \
    "    ldr r10, [sp, #20]\n"                                                                                        \
    "    ldr r11, [sp, #24]\n"                                                                                        \
    "    ldr r12, [sp, #28]\n"                                                                                        \
    "    add r1, r10, r11\n"                                                                                          \
    "    subs r12, r12, #2\n"                                                                                         \
    ".endm\n"                                                                                                         \
    ".macro te_store_pairs\n"                                                                                         \
    "    bfi r2, r6, #8, #8\n"                                                                                        \
    "    bfi r3, r7, #8, #8\n"                                                                                        \
    "    strh r2, [r10], #2\n"                                                                                        \
    "    bfi r4, r8, #8, #8\n"                                                                                        \
    "    strh.w r3, [r1]\n"                                                                                           \
    "    bfi r5, r9, #8, #8\n"                                                                                        \
    "    strh r4, [r1, r11]\n"                                                                                        \
    "    strh r5, [r1, r11, lsl #1]\n"                                                                                \
    ".endm\n"                                                                                                         \
    ".macro te_store_first_channels\n"                                                                                \
    "    strb r2, [r10]\n"                                                                                            \
    "    strb r3, [r1]\n"                                                                                             \
    "    strb r4, [r1, r11]\n"                                                                                        \
    "    add r1, r1, r11\n"                                                                                           \
    "    strb r5, [r1, r11]\n"                                                                                        \
    ".endm\n"

#else

/** An output of a plain layer: `right` is the shift less one. */
static inline int32_t te_gemm_finish_plain(const te_gemm_s8_dsp *gemm, int32_t sum, uint32_t multiplier, int32_t right) {
    sum = te_rounded_high_plus(sum, (int32_t)multiplier);
    sum += (sum < 0 ? -1 : 0) + (2 * gemm->output_zero_point + 1) * (1 << right);
    return te_saturate8(sum >> right >> 1);
}

/** An output of a quick layer: `left` is the largest right shift less this one. */
static inline int32_t te_gemm_finish_quick(const te_gemm_s8_dsp *gemm, int32_t sum, uint32_t multiplier, int32_t left) {
    const int32_t factor = te_quick_factor(gemm->plain, gemm->output_zero_point) * (1 << left);
    sum = te_rounded_high_plus(sum, (int32_t)multiplier);
    return te_saturate8(te_add_rounded_high(sum, factor, gemm->output_zero_point));
}

/** An output of any other layer. */
static inline int32_t te_gemm_finish_general(const te_gemm_s8_dsp *gemm, int32_t sum, uint32_t multiplier,
                                             int32_t right, int32_t left) {
    sum = te_rounded_high_plus((int32_t)((uint32_t)sum << left), (int32_t)multiplier);
    sum += (right != 0 && sum < 0 ? -1 : 0) + (int32_t)(((uint32_t)1 << right) >> 1);
    return te_clamp(te_add_wrapping(sum >> right, gemm->output_zero_point), gemm->output_min, gemm->output_max);
}

/** A channel's sum for one pixel.
 *  @param words    The weights of a pair of channels.
 *  @param columns  The pixel's first.
 *  @param pixels   Of which the columns are interleaved.
 *  @param second   Whether it is the second channel of the pair.
 *  @param sum      The bias. */
typedef int32_t te_gemm_sum_function(const te_gemm_s8_dsp *gemm, const uint32_t *words, const uint32_t *columns,
                                     int32_t pixels, int32_t second, int32_t sum);

/** The matrix product, one channel and pixel at a time.
 *  @param words   Of a pair of channels' weights.
 *  @param pixels  TE_GEMM_PIXELS, or 1. */
static inline void te_gemm_in_c(te_gemm_sum_function *sum_of, int32_t words, const te_gemm_s8_dsp *gemm,
                                const uint32_t *columns, int8_t *output, int32_t pixels) {
    const int32_t plain = gemm->plain;
    const uint32_t *stream = gemm->packed;
    for (int32_t channel = 0; channel < gemm->out_c; ++channel) {
        const int32_t second = channel & 1;
        const int32_t begin = (int32_t)stream[second];
        const uint32_t *requantisation = stream + 2 + words;
        for (int32_t pixel = 0; pixel < pixels; ++pixel) {
            int32_t sum = sum_of(gemm, stream + 2, columns + pixel, pixels, second, plain ? begin >> 8 : begin);
            if (plain > 1) {
                sum = te_gemm_finish_quick(gemm, sum, requantisation[second], begin & 0xff);
            } else if (plain) {
                sum = te_gemm_finish_plain(gemm, sum, requantisation[second], begin & 0xff);
            } else {
                const uint32_t shifts = requantisation[2] >> (8 * second);
                sum = te_gemm_finish_general(gemm, sum, requantisation[second], (int32_t)(shifts & 0xffu),
                                             (int32_t)((shifts >> 16) & 0xffu));
            }
            output[pixel * gemm->out_stride + channel] = (int8_t)sum;
        }
        if (second) {
            stream = requantisation + (plain ? 2 : 3);
        }
    }
}

#endif

#endif /* TE_GEMM_FINISH_DSP_H */

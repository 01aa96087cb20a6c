/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_finish_dsp.h
 *  Accumulators to outputs: what the matrix products te_gemm_s8_dsp.c and te_gemm_s4_dsp.c end with. The right shift,
 *  half a unit, zero point and clamp range are those of te_gemm_s8_dsp.h. */
#ifndef TE_GEMM_FINISH_DSP_H
#define TE_GEMM_FINISH_DSP_H

#include <stdint.h>

#include "te_gemm_s8_dsp.h"
#include "te_requantise.h"

#if TE_DSP_ASSEMBLY

/** Macros of the assembler: r0 reads the weight stream, and the stack is that of te_gemm4_s8_dsp(). */
#define TE_GEMM_FINISH_MACROS                                                                                         \
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
    ".endm\n"

#else

/** An output of a plain layer: `right` is the shift less one. */
static inline int32_t te_gemm_finish_plain(const te_gemm_s8_dsp *gemm, int32_t sum, uint32_t multiplier, int32_t right) {
    sum = te_rounded_high_plus(sum, (int32_t)multiplier);
    sum += (sum < 0 ? -1 : 0) + (2 * gemm->output_zero_point + 1) * (1 << right);
    return te_saturate8(sum >> right >> 1);
}

/** An output of any other layer. */
static inline int32_t te_gemm_finish_general(const te_gemm_s8_dsp *gemm, int32_t sum, uint32_t multiplier,
                                             int32_t right, int32_t left) {
    sum = te_rounded_high_plus((int32_t)((uint32_t)sum << left), (int32_t)multiplier);
    sum += (right != 0 && sum < 0 ? -1 : 0) + (int32_t)(((uint32_t)1 << right) >> 1);
    return te_clamp(te_add_wrapping(sum >> right, gemm->output_zero_point), gemm->output_min, gemm->output_max);
}

#endif

#endif /* TE_GEMM_FINISH_DSP_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_block_dsp.h
 *  The register block of four pixels times a pair of channels, in which te_gemm4_s8_dsp(), te_gemm4_s4_dsp() and
 *  te_gemm4_s16_dsp() make their sums:
 *
 *                             pixel 0   pixel 1   pixel 2   pixel 3
 *      columns                  r10       r11       r10       r11       two pixels at a time, two values of each
 *                             .---------------------------------------.
 *      weights  channel 0 r12 |  r2    |   r3    |   r4    |   r5      |
 *               channel 1 r14 |  r6    |   r7    |   r8    |   r9      |   accumulators
 *                             '---------------------------------------'
 *      r0 reads the weight stream, one word a step; r1 reads the columns, four words a step.
 *
 *  A step is 14 instructions for 16 multiply-accumulates. On a Cortex-M4 a load takes a second cycle unless it follows
 *  another single load, so loads stand together, and a step takes 17 cycles. An unrolled loop is entered where the depth
 *  leaves a remainder, so that each step has to be 56 bytes: hence the .w. */
#ifndef TE_GEMM_BLOCK_DSP_H
#define TE_GEMM_BLOCK_DSP_H

/** The pixels that one pass over the filters computes. */
#define TE_GEMM_PIXELS 4

/** Macros of the assembler. */
#define TE_GEMM_BLOCK_MACROS                                                                                          \
    /* From the biases in r2 and r6 to those of all pixels. */                                                        \
    ".macro te_begin_sums\n"                                                                                          \
    "    mov r3, r2\n"                                                                                                \
    "    mov r4, r2\n"                                                                                                \
    "    mov r5, r2\n"                                                                                                \
    "    mov r7, r6\n"                                                                                                \
    "    mov r8, r6\n"                                                                                                \
    "    mov r9, r6\n"                                                                                                \
    ".endm\n"                                                                                                         \
    /* What a step begins with: a word of the stream in r14, and the first two pixels' columns. */                    \
    ".macro te_load_step advance=4\n"                                                                                 \
    "    ldr.w r14, [r0], #\\advance\n"                                                                               \
    "    ldr.w r11, [r1, #4]\n"                                                                                       \
    "    ldr.w r10, [r1], #8\n"                                                                                       \
    ".endm\n"                                                                                                         \
    /* What it ends with, the weights in r12 and r14. */                                                              \
    ".macro te_sum_step\n"                                                                                            \
    "    smlad r2, r12, r10, r2\n"                                                                                    \
    "    smlad r3, r12, r11, r3\n"                                                                                    \
    "    smlad r6, r14, r10, r6\n"                                                                                    \
    "    smlad r7, r14, r11, r7\n"                                                                                    \
    "    ldrd r10, r11, [r1], #8\n"                                                                                   \
    "    smlad r4, r12, r10, r4\n"                                                                                    \
    "    smlad r5, r12, r11, r5\n"                                                                                    \
    "    smlad r8, r14, r10, r8\n"                                                                                    \
    "    smlad r9, r14, r11, r9\n"                                                                                    \
    ".endm\n"                                                                                                         \
    /* A step of weights that are the bytes of the word. */                                                           \
    ".macro te_step_of_bytes\n"                                                                                       \
    "    te_load_step\n"                                                                                              \
    "    sxtb16 r12, r14\n"                                                                                           \
    "    sxtb16 r14, r14, ror #8\n"                                                                                   \
    "    te_sum_step\n"                                                                                               \
    ".endm\n"

#endif /* TE_GEMM_BLOCK_DSP_H */

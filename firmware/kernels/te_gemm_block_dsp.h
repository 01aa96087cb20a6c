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
 *  leaves a remainder, so that all steps have to be of as many bytes: hence the .w. */
#ifndef TE_GEMM_BLOCK_DSP_H
#define TE_GEMM_BLOCK_DSP_H

#include "te_assembly.h"

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
    ".endm\n"

/* The unrolled loop of eight steps. Where loads are apart, a step loads what the next begins with, the last one where the
 * loop ends instead, and te_load_first comes before the first: then a step takes 8 cycles of a Cortex-M7, as many as its
 * multiplications. */
#if TE_LOADS_APART
#define TE_GEMM_LAST_STEP_LESS "8" /* Bytes that the last step is shorter. */
#define TE_GEMM_QUICK_STEP_BYTES "56"
#define TE_GEMM_STEP_BYTES "60"
#define TE_GEMM_STEPS_MACROS                                              \
    ".macro te_load_first\n"                                              \
    "    ldr.w r14, [r0], #4\n"                                           \
    "    ldr.w r10, [r1], #4\n"                                           \
    "    ldr.w r11, [r1], #4\n"                                           \
    ".endm\n"                                                             \
    ".macro te_begin_steps\n"                                             \
    "    mov r12, r10\n"                                                  \
    "    te_load_first\n"                                                 \
    "    te_begin_sums\n"                                                 \
    "    bx r12\n"                                                        \
    ".endm\n"                                                             \
    ".macro te_sum_apart next:req, end:req, a:req, w:req, b:req, v:req\n" \
    "    smlad \\a, \\w, r10, \\a\n"                                      \
    "    smlad \\b, \\v, r10, \\b\n"                                      \
    "    ldr.w r10, [r1], #4\n"                                           \
    "    smlad r3, r12, r11, r3\n"                                        \
    "    smlad r7, r14, r11, r7\n"                                        \
    "    ldr.w r11, [r1], #4\n"                                           \
    "    smlad r8, r14, r10, r8\n"                                        \
    "    smlad r9, r14, r11, r9\n"                                        \
    "    .if \\next\n"                                                    \
    "    ldr.w r14, [r0], #4\n"                                           \
    "    .else\n"                                                         \
    "    ldr.w r14, [sp, #\\end]\n"                                       \
    "    .endif\n"                                                        \
    "    smlad r4, r12, r10, r4\n"                                        \
    "    .if \\next\n"                                                    \
    "    ldr.w r10, [r1], #4\n"                                           \
    "    .endif\n"                                                        \
    "    smlad r5, r12, r11, r5\n"                                        \
    "    .if \\next\n"                                                    \
    "    ldr.w r11, [r1], #4\n"                                           \
    "    .endif\n"                                                        \
    ".endm\n"                                                             \
    ".macro te_quick_step next:req, end:req\n"                            \
    "    sxtb16 r12, r14\n"                                               \
    "    te_sum_apart \\next, \\end, r6, r14, r2, r12\n"                  \
    ".endm\n"                                                             \
    ".macro te_step_of_bytes next:req, end:req\n"                         \
    "    sxtb16 r12, r14\n"                                               \
    "    sxtb16 r14, r14, ror #8\n"                                       \
    "    te_sum_apart \\next, \\end, r2, r12, r6, r14\n"                  \
    ".endm\n"                                                             \
    ".macro te_compare_with_end pointer:req, end:req, width\n"            \
    "    cmp\\width \\pointer, r14\n"                                     \
    ".endm\n"
#else
#define TE_GEMM_LAST_STEP_LESS "0"
#define TE_GEMM_QUICK_STEP_BYTES "52"
#define TE_GEMM_STEP_BYTES "56"
#define TE_GEMM_STEPS_MACROS                                   \
    ".macro te_load_first\n"                                   \
    ".endm\n"                                                  \
    ".macro te_begin_steps\n"                                  \
    "    te_begin_sums\n"                                      \
    "    bx r10\n"                                             \
    ".endm\n"                                                  \
    ".macro te_quick_step next:req, end:req\n"                 \
    "    te_load_step\n"                                       \
    "    sxtb16 r12, r14\n"                                    \
    "    te_sum_step\n"                                        \
    ".endm\n"                                                  \
    ".macro te_step_of_bytes next:req, end:req\n"              \
    "    te_load_step\n"                                       \
    "    sxtb16 r12, r14\n"                                    \
    "    sxtb16 r14, r14, ror #8\n"                            \
    "    te_sum_step\n"                                        \
    ".endm\n"                                                  \
    ".macro te_compare_with_end pointer:req, end:req, width\n" \
    "    ldr.w r10, [sp, #\\end]\n"                            \
    "    cmp\\width \\pointer, r10\n"                          \
    ".endm\n"
#endif

/** Macros of the assembler: te_begin_steps copies biases and enters the loop at r10; te_eight_steps is the loop, of
 *  te_quick_step, where the word as it is has weights, or of te_step_of_bytes; te_compare_with_end comes behind it, of the
 *  pointer whose last value is on the stack. */
#define TE_GEMM_EIGHT_STEPS_MACROS              \
    TE_GEMM_STEPS_MACROS                        \
    ".macro te_eight_steps step:req, end:req\n" \
    "    te_load_first\n"                       \
    "    .rept 7\n"                             \
    "    \\step 1, \\end\n"                     \
    "    .endr\n"                               \
    "    \\step 0, \\end\n"                     \
    ".endm\n"

#endif /* TE_GEMM_BLOCK_DSP_H */

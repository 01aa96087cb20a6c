/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_rescale_mve.h
 *  Another quantisation of the same values, of any of both types, for processors with MVE. */
#ifndef TE_RESCALE_MVE_H
#define TE_RESCALE_MVE_H

#include "te_kernels.h"
#include "te_mve.h"
#include "te_requantise.h"

/* Four values at a time. Parameters are loaded in the order of the struct, as one LDM loads them. No push: the compiler
 * would not count it where the stack of a model is asked for. What a left shift has scaled is not rounded again, so that
 * nothing is taken off where it is negative: q4 is a mask.
 *
 * load and store are instructions but for their operands, load_step and store_step bytes of four values. */
#define TE_RESCALE_MVE(params, input, output, load, load_step, store, store_step)       \
    do {                                                                                \
        register const te_rescale_params *r0 __asm__("r0") = (params);                  \
        register const void *r1 __asm__("r1") = (input);                                \
        register void *r2 __asm__("r2") = (output);                                     \
        __asm__ volatile("ldm r0, {r3-r6, r8-r10}\n\t"                                  \
                         "vdup.32 q2, r9\n\t"                                           \
                         "vdup.32 q3, r10\n\t"                                          \
                         "asr r9, r8, #31\n\t"                                          \
                         "vdup.32 q4, r9\n\t"                                           \
                         "and r10, r8, r9\n\t"                                          \
                         "bic r9, r8, r9\n\t"                                           \
                         "wlstp.32 lr, r3, 2f\n"                                        \
                         "1:\n\t" load " q0, [r1], #" load_step "\n\t"                  \
                         "vsub.i32 q0, q0, r4\n\t"                                      \
                         "vshl.s32 q0, r9\n\t"                                          \
                         "vshr.s32 q1, q0, #31\n\t"                                     \
                         "vand q1, q1, q4\n\t"                                          \
                         "vqrdmlah.s32 q1, q0, r6\n\t"                                  \
                         "vrshl.s32 q1, r10\n\t"                                        \
                         "vadd.i32 q1, q1, r5\n\t"                                      \
                         "vmax.s32 q1, q1, q2\n\t"                                      \
                         "vmin.s32 q1, q1, q3\n\t" store " q1, [r2], #" store_step "\n\t" \
                         "letp lr, 1b\n"                                                \
                         "2:"                                                           \
                         : "+r"(r0), "+r"(r1), "+r"(r2)                                 \
                         :                                                              \
                         : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "lr", "q0", "q1", \
                           "q2", "q3", "q4", "memory");                                 \
    } while (0)

#endif /* TE_RESCALE_MVE_H */

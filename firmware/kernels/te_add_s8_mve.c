/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_mve.h"
#include "te_requantise.h"

#if TE_MVE_ASSEMBLY

/* Four values at a time, whose outputs are made while the next four's sums are: q4 sums, q5 what becomes of them. What the
 * count lacks to fours is predicated. */
#define TE_ADD_SCALE           \
    "vldrb.s32 q0, [r1], #4\n\t" \
    "vldrb.s32 q2, [r2], #4\n\t" \
    "vmlas.s32 q0, q3, r5\n\t"   \
    "vshr.s32 q4, q0, #31\n\t"   \
    "vqrdmlah.s32 q4, q0, r6\n\t" \
    "vrshl.s32 q4, r8\n\t"       \
    "vmla.s32 q4, q2, r0\n\t"
#define TE_ADD_FINISH            \
    "vadd.i32 q4, q4, r9\n\t"    \
    "vshr.s32 q5, q4, #31\n\t"   \
    "vadd.i32 q5, q5, r10\n\t"   \
    "vqrdmlah.s32 q5, q4, r11\n\t" \
    "vqshl.s32 q5, r12\n\t"      \
    "vshr.s32 q5, q5, #24\n\t"   \
    "vstrb.32 q5, [r3], #4\n\t"

void te_add_s8_mve(const te_add_mve_params *params, const int8_t *scaled, const int8_t *exact, int8_t *output,
                   void *scratch) {
    /* In the order of the struct, as one LDM loads them. No push: the compiler would not count it where the stack of a model
     * is asked for. */
    register const te_add_mve_params *r0 __asm__("r0") = params;
    register const int8_t *r1 __asm__("r1") = scaled;
    register const int8_t *r2 __asm__("r2") = exact;
    register int8_t *r3 __asm__("r3") = output;
    (void)scratch;
    __asm__ volatile("ldm r0, {r4-r6, r8-r12}\n\t"
                     "mov r0, #1 << 20\n\t"
                     "vdup.32 q3, r0\n\t"
                     "mov r0, #1 << 19\n\t"
                     "lsrs lr, r4, #2\n\t"
                     "beq 3f\n\t"
                     "sub lr, lr, #1\n\t" TE_ADD_SCALE
                     "wls lr, lr, 2f\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [r1], #4\n\t"
                     "vadd.i32 q4, q4, r9\n\t"
                     "vmlas.s32 q0, q3, r5\n\t"
                     "vshr.s32 q5, q4, #31\n\t"
                     "vldrb.s32 q2, [r2], #4\n\t"
                     "vadd.i32 q5, q5, r10\n\t"
                     "vqrdmlah.s32 q5, q4, r11\n\t"
                     "vshr.s32 q4, q0, #31\n\t"
                     "vqrdmlah.s32 q4, q0, r6\n\t"
                     "vqshl.s32 q5, r12\n\t"
                     "vrshl.s32 q4, r8\n\t"
                     "vmla.s32 q4, q2, r0\n\t"
                     "vshr.s32 q5, q5, #24\n\t"
                     "vstrb.32 q5, [r3], #4\n\t"
                     "le lr, 1b\n"
                     "2:\n\t" TE_ADD_FINISH
                     "and r4, r4, #3\n"
                     "3:\n\t"
                     "wlstp.32 lr, r4, 5f\n"
                     "4:\n\t" TE_ADD_SCALE TE_ADD_FINISH
                     "letp lr, 4b\n"
                     "5:"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q2", "q3", "q4", "q5", "cc", "memory");
}

#else /* The same in C, one value at a time. */

void te_add_s8_mve(const te_add_mve_params *params, const int8_t *scaled, const int8_t *exact, int8_t *output,
                   void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        int32_t sum = te_requantise(scaled[i] * (1 << 20) + params->scaled_offset, params->scaled_multiplier,
                                    params->scaled_left_shift);
        sum += exact[i] * (1 << 19) + params->exact_offset;
        output[i] = (int8_t)te_requantise_mve(sum, params->output_multiplier, params->output_rounding,
                                              params->output_left_shift);
    }
}

#endif

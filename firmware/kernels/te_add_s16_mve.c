/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_mve.h"
#include "te_requantise.h"

/* What a value gains before it is scaled is 2^15, as in te_add_s16.c. Half of it is what the operand of the larger scale
 * has in the sum. */

#if TE_MVE_ASSEMBLY

void te_add_s16_mve(const te_add_s16_mve_params *params, const int16_t *scaled, const int16_t *exact, int16_t *output,
                    void *scratch) {
    /* In the order of the struct, as one LDM loads them. No push: the compiler would not count it where the stack of a model
     * is asked for. */
    register const te_add_s16_mve_params *r0 __asm__("r0") = params;
    register const int16_t *r1 __asm__("r1") = scaled;
    register const int16_t *r2 __asm__("r2") = exact;
    register int16_t *r3 __asm__("r3") = output;
    (void)scratch;
    __asm__ volatile("ldm r0, {r4-r6, r8, r9}\n\t"
                     "mov r0, #1 << 14\n\t"
                     "wlstp.32 lr, r4, 2f\n"
                     "1:\n\t"
                     "vldrh.s32 q0, [r1], #8\n\t"
                     "vldrh.s32 q2, [r2], #8\n\t"
                     "vshl.i32 q0, q0, #15\n\t"
                     "vshr.s32 q1, q0, #31\n\t"
                     "vqrdmlah.s32 q1, q0, r5\n\t"
                     "vrshl.s32 q1, r6\n\t"
                     "vmla.s32 q1, q2, r0\n\t"
                     "vshr.s32 q0, q1, #31\n\t"
                     "vqrdmlah.s32 q0, q1, r8\n\t"
                     "vrshl.s32 q0, r9\n\t"
                     "vqmovnb.s32 q0, q0\n\t"
                     "vstrh.32 q0, [r3], #8\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r4", "r5", "r6", "r8", "r9", "lr", "q0", "q1", "q2", "cc", "memory");
}

#else /* The same in C, one value at a time. */

void te_add_s16_mve(const te_add_s16_mve_params *params, const int16_t *scaled, const int16_t *exact, int16_t *output,
                    void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t sum =
            te_requantise(scaled[i] * (1 << 15), params->scaled_multiplier, params->scaled_left_shift) +
            exact[i] * (1 << 14);
        output[i] = te_clamp_s16(te_requantise(sum, params->output_multiplier, params->output_left_shift), INT16_MIN,
                                 INT16_MAX);
    }
}

#endif

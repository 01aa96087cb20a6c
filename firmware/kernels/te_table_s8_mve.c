/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_mve.h"

void te_table_s8_mve(const te_table_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
#if TE_MVE_ASSEMBLY
    const int32_t sign = 0x80; /* Makes -128, -127, ... offsets of 0, 1, ... */
    __asm__ volatile("vdup.8 q2, %[sign]\n\t"
                     "wlstp.8 lr, %[count], 2f\n"
                     "1:\n\t"
                     "vldrb.8 q0, [%[input]], #16\n\t"
                     "veor q0, q0, q2\n\t"
                     "vldrb.u8 q1, [%[table], q0]\n\t"
                     "vstrb.8 q1, [%[output]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [input] "+r"(input), [output] "+r"(output)
                     : [sign] "r"(sign), [count] "r"(params->count), [table] "r"(params->table)
                     : "lr", "q0", "q1", "q2", "memory");
#else
    for (int32_t i = 0; i < params->count; ++i) {
        output[i] = params->table[128 + input[i]];
    }
#endif
}

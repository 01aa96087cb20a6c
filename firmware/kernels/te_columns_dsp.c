/* SPDX-License-Identifier: Apache-2.0 */
#include "te_columns_dsp.h"

#include "te_assembly.h"

#if TE_DSP_ASSEMBLY

/* r7-r10 the windows, r2 the columns, r3 pairs, r4 rows left, r5 bytes to skip, r6 pairs left; 7 instructions a pair. */
__asm__(
    ".syntax unified\n"
    TE_ASSEMBLY_FUNCTION("te_columns4_dsp")
    "    push {r4-r11, lr}\n"
    "    ldm r0, {r3, r4, r5}\n"
    "    ldm r1, {r7, r8, r9, r10}\n"
    "1:\n"
    "    mov r6, r3\n"
    "2:\n"
    "    ldr r0, [r7], #4\n"
    "    ldr r1, [r8], #4\n"
    "    ldr r11, [r9], #4\n"
    "    ldr r12, [r10], #4\n"
    "    stm r2!, {r0, r1, r11, r12}\n"
    "    subs r6, r6, #1\n"
    "    bne 2b\n"
    "    add r7, r7, r5\n"
    "    add r8, r8, r5\n"
    "    add r9, r9, r5\n"
    "    add r10, r10, r5\n"
    "    subs r4, r4, #1\n"
    "    bne 1b\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_columns4_dsp, . - te_columns4_dsp\n"
    "    .text\n");

#else /* The same in C. */

void te_columns4_dsp(const te_window_shape *shape, const int16_t *const windows[4], uint32_t *columns) {
    for (int32_t row = 0; row < shape->rows; ++row) {
        for (int32_t pair = 0; pair < shape->pairs; ++pair) {
            for (int32_t i = 0; i < 4; ++i) {
                const int32_t at = row * (4 * shape->pairs + shape->skip_bytes) / 2 + 2 * pair;
                *columns++ = te_load4(windows[i] + at);
            }
        }
    }
}

#endif

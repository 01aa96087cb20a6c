/* SPDX-License-Identifier: Apache-2.0 */
#include "te_planes_s8_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"

static void widen(const te_plane_runs *runs, int32_t channels) {
    const int8_t *first = runs->pixels;
    int16_t *values = runs->values;
    for (int32_t run = runs->runs; run > 0; --run) {
        const int8_t *pixel = first;
        for (int32_t i = 0; i < runs->count; ++i) {
            for (int32_t c = 0; c < channels; ++c) {
                values[c * (runs->plane_bytes / 2) + i] = pixel[c];
            }
            pixel += runs->step;
        }
        first += runs->pixels_bytes;
        values += runs->values_bytes / 2;
    }
}

#if TE_DSP_ASSEMBLY

__asm__(
    ".syntax unified\n"
    /* r0-r3 the planes, r4 pixels, r5 the step, r6 pixels left, r14 runs left; two pixels are 15 instructions. On the stack:
     * 0 and 4 from a run's end to the next one's values and pixels, 8 pixels of a run. */
    TE_ASSEMBLY_FUNCTION("te_widen_planes_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #12\n"
    "    ldm r0, {r0, r1, r4, r5, r6, r8, r9, r10}\n"
    "    mov r14, r8\n"
    "    lsr r7, r6, #1\n"
    "    mul r8, r7, r5\n"
    "    sub r9, r9, r7, lsl #2\n"
    "    sub r10, r10, r8, lsl #1\n"
    "    strd r9, r10, [sp, #0]\n"
    "    str r6, [sp, #8]\n"
    "    add r2, r0, r1, lsl #1\n"
    "    add r3, r2, r1\n"
    "    add r1, r0, r1\n"
    "0:\n"
    "    subs r6, r6, #2\n"
    "    blt 2f\n"
    "1:\n"
    "    ldr r7, [r4]\n"
    "    ldr r8, [r4, r5]\n"
    "    add r4, r4, r5, lsl #1\n"
    "    subs r6, r6, #2\n"
    "    pkhbt r9, r7, r8, lsl #16\n" /* Two channels of both pixels, */
    "    pkhtb r10, r8, r7, asr #16\n" /* and the other two. */
    "    sxtb16 r11, r9\n"
    "    sxtb16 r9, r9, ror #8\n"
    "    str r11, [r0], #4\n"
    "    sxtb16 r12, r10\n"
    "    str r9, [r1], #4\n"
    "    sxtb16 r10, r10, ror #8\n"
    "    str r12, [r2], #4\n"
    "    str r10, [r3], #4\n"
    "    bge 1b\n"
    "2:\n"
    "    adds r6, r6, #1\n"
    "    bne 3f\n"
    "    ldr r7, [r4]\n" /* The last of an odd number of pixels. */
    "    sxtb16 r9, r7\n"
    "    sxtb16 r10, r7, ror #8\n"
    "    asr r11, r9, #16\n"
    "    asr r12, r10, #16\n"
    "    strh r9, [r0]\n"
    "    strh r10, [r1]\n"
    "    strh r11, [r2]\n"
    "    strh r12, [r3]\n"
    "3:\n"
    "    subs r14, r14, #1\n"
    "    beq 4f\n"
    "    ldrd r9, r10, [sp, #0]\n"
    "    ldr r6, [sp, #8]\n"
    "    add r0, r0, r9\n"
    "    add r1, r1, r9\n"
    "    add r2, r2, r9\n"
    "    add r3, r3, r9\n"
    "    add r4, r4, r10\n"
    "    b 0b\n"
    "4:\n"
    "    add sp, sp, #12\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_widen_planes_dsp, . - te_widen_planes_dsp\n"
    "    .text\n");

#else /* The same in C. */

void te_widen_planes_dsp(const te_plane_runs *runs) {
    widen(runs, TE_PLANES);
}

#endif

void te_widen_channels_dsp(const te_plane_runs *runs, int32_t channels) {
    if (channels == TE_PLANES) {
        te_widen_planes_dsp(runs);
    } else {
        widen(runs, channels);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_winograd_s8_dsp.h"

#include "te_assembly.h"
#include "te_dsp.h"

#if TE_DSP_ASSEMBLY

__asm__(
    ".syntax unified\n"
    /* r0 the patch's next four channels, r1 their words, r2 bytes of a pixel and r3 of a row. Of rows of the patch,
     * transformed along x, two are kept at a time: 88 instructions for two channels. On the stack: 0 where the channels
     * end. */
    ".macro te_widen_even value:req\n"
    "    sxtb16 \\value, \\value\n"
    ".endm\n"
    ".macro te_widen_odd value:req\n"
    "    sxtb16 \\value, \\value, ror #8\n"
    ".endm\n"
    ".macro te_patch_row base:req, right:req, d0:req, d1:req, d2:req, d3:req, widen:req\n"
    "    add \\right, \\base, r2\n"
    "    ldr \\d0, [\\base]\n"
    "    ldr \\d1, [\\base, r2]\n"
    "    ldr \\d2, [\\base, r2, lsl #1]\n"
    "    ldr \\d3, [\\right, r2, lsl #1]\n"
    "    .irp value, \\d0, \\d1, \\d2, \\d3\n"
    "    \\widen \\value\n"
    "    .endr\n"
    "    ssub16 \\d0, \\d0, \\d2\n"
    "    sadd16 \\right, \\d1, \\d2\n" /* Instead of d1, which is free from here on. */
    "    ssub16 \\d2, \\d2, \\d1\n"
    "    ssub16 \\d3, \\d1, \\d3\n"
    ".endm\n"
    ".macro te_patch_positions operation:req, at:req, to:req, a:req, b:req\n"
    "    \\operation \\to, \\a, \\b\n"
    "    str \\to, [r1, #\\at]\n"
    ".endm\n"
    ".macro te_patch_half at:req, widen:req\n"
    "    te_patch_row r0, r12, r4, r5, r6, r7, \\widen\n"
    "    add r14, r0, r3, lsl #1\n"
    "    te_patch_row r14, r5, r8, r9, r10, r11, \\widen\n"
    "    te_patch_positions ssub16, \\at, r4, r4, r8\n"
    "    te_patch_positions ssub16, \\at + 16, r12, r12, r5\n"
    "    te_patch_positions ssub16, \\at + 32, r6, r6, r10\n"
    "    te_patch_positions ssub16, \\at + 48, r7, r7, r11\n"
    "    add r14, r0, r3\n"
    "    te_patch_row r14, r12, r4, r6, r7, r9, \\widen\n"
    "    te_patch_positions sadd16, \\at + 64, r6, r4, r8\n"
    "    te_patch_positions sadd16, \\at + 80, r14, r12, r5\n"
    "    te_patch_positions sadd16, \\at + 96, r6, r7, r10\n"
    "    te_patch_positions sadd16, \\at + 112, r14, r9, r11\n"
    "    te_patch_positions ssub16, \\at + 128, r8, r8, r4\n"
    "    te_patch_positions ssub16, \\at + 144, r5, r5, r12\n"
    "    te_patch_positions ssub16, \\at + 160, r10, r10, r7\n"
    "    te_patch_positions ssub16, \\at + 176, r11, r11, r9\n"
    "    add r14, r0, r3\n"
    "    add r14, r14, r3, lsl #1\n"
    "    te_patch_row r14, r6, r8, r5, r10, r11, \\widen\n"
    "    te_patch_positions ssub16, \\at + 192, r4, r4, r8\n"
    "    te_patch_positions ssub16, \\at + 208, r12, r12, r6\n"
    "    te_patch_positions ssub16, \\at + 224, r7, r7, r10\n"
    "    te_patch_positions ssub16, \\at + 240, r9, r9, r11\n"
    ".endm\n"
    TE_ASSEMBLY_FUNCTION("te_winograd_patch_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #4\n"
    "    ldm r0, {r0, r2, r3, r4}\n"
    "    add r4, r0, r4, lsl #2\n"
    "    str r4, [sp, #0]\n"
    "1:\n"
    "    te_patch_half 0, te_widen_even\n"
    "    te_patch_half 256, te_widen_odd\n"
    "    ldr r4, [sp, #0]\n"
    "    add r0, r0, #4\n"
    "    add r1, r1, #512\n"
    "    cmp r0, r4\n"
    "    bne 1b\n"
    "    add sp, sp, #4\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_winograd_patch_dsp, . - te_winograd_patch_dsp\n"

    /* r0 reads the filters, r1 the patches; r2-r5 accumulators of the first channel, r6-r9 of the second; r12 and r14 the
     * channels' weights, r10 and r11 values of two tiles. On the stack: 0 end of the position's patches, 4 sums, 8 where
     * the unrolled loop is entered, 12 from where r1 begins to the end, 16 positions left. A step is 14 instructions and
     * 56 bytes, hence the .w, and 16 cycles of a Cortex-M4: a load that follows another takes one. With what calls it and
     * te_winograd_outputs_dsp() it is just short of a cache of 1 KB. */
    ".macro te_winograd_step at:req, next:req\n"
#if TE_LOADS_APART
    "    smlad r2, r12, r10, r2\n"
    "    ldr.w r14, [r0], #4\n"
    "    smlad r3, r12, r11, r3\n"
    "    smlad r6, r14, r10, r6\n"
    "    ldr.w r10, [r1], #4\n"
    "    smlad r7, r14, r11, r7\n"
    "    ldr.w r11, [r1], #244\n"
    "    smlad r4, r12, r10, r4\n"
    "    smlad r5, r12, r11, r5\n"
    "    .if \\next\n"
    "    ldr.w r12, [r0], #4\n"
    "    .else\n"
    "    ldr.w r12, [sp, #0]\n"
    "    .endif\n"
    "    smlad r8, r14, r10, r8\n"
    "    .if \\next\n"
    "    ldr.w r10, [r1], #4\n"
    "    .endif\n"
    "    smlad r9, r14, r11, r9\n"
    "    .if \\next\n"
    "    ldr.w r11, [r1], #4\n"
    "    .endif\n"
#else
    "    ldr.w r14, [r0, #4]\n"
    "    ldr.w r12, [r0], #8\n"
    "    ldr.w r10, [r1, #\\at]\n"
    "    ldr.w r11, [r1, #\\at + 4]\n"
    "    smlad r2, r12, r10, r2\n"
    "    smlad r3, r12, r11, r3\n"
    "    smlad r6, r14, r10, r6\n"
    "    smlad r7, r14, r11, r7\n"
    "    ldr.w r10, [r1, #\\at + 8]\n"
    "    ldr.w r11, [r1, #\\at + 12]\n"
    "    smlad r4, r12, r10, r4\n"
    "    smlad r5, r12, r11, r5\n"
    "    smlad r8, r14, r10, r8\n"
    "    smlad r9, r14, r11, r9\n"
#endif
    ".endm\n"
    ".macro te_winograd_first\n"
    "    ldr.w r12, [r0], #4\n"
    "    ldr.w r10, [r1], #4\n"
    "    ldr.w r11, [r1], #4\n"
    ".endm\n"
    TE_ASSEMBLY_FUNCTION("te_winograd_sums_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #20\n"
#if TE_LOADS_APART
    "    lsl r4, r3, #8\n"      /* The loop makes eights of steps, */
#else
    "    add r4, r3, #7\n"
    "    bic r4, r4, #7\n"
    "    lsl r4, r4, #8\n"      /* The loop makes whole eights of steps, */
#endif
    "    add r6, r1, r3, lsl #8\n"
    "    sub r3, r3, #1\n"
    "    and r3, r3, #7\n"
    "    add r3, r3, #1\n"      /* and the first time only the last of them. */
    "    mov r5, #56\n"
#if TE_LOADS_APART
    "    adr r7, 3f + 8\n" /* The last step is two loads shorter. */
#else
    "    adr r7, 3f\n"
#endif
    "    mls r5, r3, r5, r7\n"
    "    orr r5, r5, #1\n"
    "    mov r7, #16\n"
    "    strd r6, r2, [sp, #0]\n"
    "    strd r5, r4, [sp, #8]\n"
    "    str r7, [sp, #16]\n"
    "1:\n"
    "    ldr r1, [sp, #0]\n"
    "    ldr r11, [sp, #12]\n"
    "    ldr r10, [sp, #8]\n"
    "    sub r1, r1, r11\n"
    "    .irp sum, r2, r3, r4, r5, r6, r7\n"
    "    movs \\sum, #0\n"
    "    .endr\n"
    "    mov r8, r2\n"
    "    mov r9, r2\n"
#if TE_LOADS_APART
    "    mov r14, r10\n"
    "    te_winograd_first\n"
    "    bx r14\n"
#else
    "    bx r10\n"
#endif
    "    .balign 4\n"
    "2:\n"
#if TE_LOADS_APART
    "    te_winograd_first\n"
#endif
    "    .irp step, 0, 1, 2, 3, 4, 5, 6\n"
    "    te_winograd_step 256 * \\step, 1\n"
    "    .endr\n"
    "    te_winograd_step 256 * 7, 0\n"
    "3:\n"
#if TE_LOADS_APART
    "    cmp r1, r12\n"
#else
    "    ldr r12, [sp, #0]\n"
    "    add r1, r1, #2048\n"
    "    cmp r1, r12\n"
#endif
    "    bne 2b\n"
    "    ldr r10, [sp, #4]\n"
    "    ldr r14, [sp, #16]\n"
    "    add r12, r12, #16\n"
    "    str r12, [sp, #0]\n"
    "    stm r10!, {r2-r9}\n"
    "    subs r14, r14, #1\n"
    "    str r10, [sp, #4]\n"
    "    str r14, [sp, #16]\n"
    "    bne 1b\n"
    "    add sp, sp, #20\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_winograd_sums_dsp, . - te_winograd_sums_dsp\n"

    /* r0 the tile's sums and r1 the tile, r2-r5 its outputs, upper row first, r10 bias, r11 multiplier, r12 rounding and
     * r14 right shift. On the stack: 0 the first tile, 4 the channel, 8 channels left. */
    ".macro te_output_column at:req, above:req, below:req\n"
    "    ldr \\above, [r0, #\\at]\n"
    "    ldr \\below, [r0, #\\at + 128]\n"
    "    ldr r8, [r0, #\\at + 256]\n"
    "    ldr r9, [r0, #\\at + 384]\n"
    "    add \\above, \\above, \\below\n"
    "    add \\above, \\above, r8\n"
    "    sub \\below, \\below, r8\n"
    "    sub \\below, \\below, r9\n"
    ".endm\n"
    TE_ASSEMBLY_FUNCTION("te_winograd_outputs_dsp")
    "    push {r4-r11, lr}\n"
    "    sub sp, sp, #12\n"
    "    mov r3, #2\n"
    "    strd r2, r1, [sp, #0]\n"
    "    str r3, [sp, #8]\n"
    "1:\n"
    "    ldrd r1, r3, [sp, #0]\n"
    "    ldm r3!, {r10, r11, r12, r14}\n"
    "    str r3, [sp, #4]\n"
    "    add r0, r0, #12\n"
    "    add r1, r1, #36\n"
    "2:\n"
    "    te_output_column 0, r2, r4\n"
    "    te_output_column 32, r3, r5\n"
    "    add r2, r2, r3\n"
    "    add r4, r4, r5\n"
    "    te_output_column 64, r6, r7\n"
    "    add r2, r2, r6\n"
    "    sub r3, r3, r6\n"
    "    add r4, r4, r7\n"
    "    sub r5, r5, r7\n"
    "    te_output_column 96, r6, r7\n"
    "    sub r3, r3, r6\n"
    "    sub r5, r5, r7\n"
    "    .irp sum, r2, r3, r4, r5\n"
    "    add \\sum, r10, \\sum, asr #2\n"
    "    smmlar \\sum, \\sum, r11, \\sum\n"
    "    add \\sum, \\sum, \\sum, asr #31\n"
    "    add \\sum, \\sum, r12\n"
    "    asr \\sum, \\sum, r14\n"
    "    ssat \\sum, #8, \\sum\n"
    "    .endr\n"
    "    ldr r6, [r1, #0]\n"
    "    ldr r7, [r1, #4]\n"
    "    ldr r8, [r1, #8]\n"
    "    ldr r9, [sp, #0]\n"
    "    add r8, r6, r8\n"
    "    cmp r1, r9\n"
    "    strb r5, [r8, r7]\n" /* What has no place is overwritten. */
    "    strb r4, [r8]\n"
    "    strb r3, [r6, r7]\n"
    "    strb r2, [r6], #1\n"
    "    str r6, [r1], #-12\n"
    "    sub r0, r0, #4\n"
    "    bne 2b\n"
    "    ldr r3, [sp, #8]\n"
    "    add r0, r0, #20\n"
    "    subs r3, r3, #1\n"
    "    str r3, [sp, #8]\n"
    "    bne 1b\n"
    "    add sp, sp, #12\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_winograd_outputs_dsp, . - te_winograd_outputs_dsp\n"
    "    .text\n");

#else /* The same in C. */

/** B' v of four values of two channels. */
static void transform(const uint32_t v[4], uint32_t to[4]) {
    to[0] = te_subtract_halves(v[0], v[2]);
    to[1] = te_add_halves(v[1], v[2]);
    to[2] = te_subtract_halves(v[2], v[1]);
    to[3] = te_subtract_halves(v[1], v[3]);
}

void te_winograd_patch_dsp(const te_winograd_patch *patch, uint32_t *to) {
    for (int32_t step = 0; step < 2 * patch->words; ++step) {
        uint32_t columns[4][4]; /* By x, then y. */
        for (int32_t y = 0; y < 4; ++y) {
            uint32_t row[4];
            uint32_t transformed[4];
            for (int32_t x = 0; x < 4; ++x) {
                const uint32_t bytes =
                    te_load4(patch->pixels + y * patch->row_bytes + x * patch->pixel_bytes + step / 2 * 4);
                row[x] = step % 2 == 0 ? te_even_bytes(bytes) : te_odd_bytes(bytes);
            }
            transform(row, transformed);
            for (int32_t x = 0; x < 4; ++x) {
                columns[x][y] = transformed[x];
            }
        }
        for (int32_t x = 0; x < 4; ++x) {
            uint32_t transformed[4];
            transform(columns[x], transformed);
            for (int32_t y = 0; y < 4; ++y) {
                to[(4 * y + x) * TE_WINOGRAD_TILES] = transformed[y];
            }
        }
        to += TE_WINOGRAD_POSITIONS * TE_WINOGRAD_TILES;
    }
}

void te_winograd_sums_dsp(const uint32_t *filters, const uint32_t *patches, int32_t *sums, int32_t steps) {
    for (int32_t position = 0; position < TE_WINOGRAD_POSITIONS; ++position) {
        for (int32_t channel = 0; channel < TE_WINOGRAD_CHANNELS; ++channel) {
            for (int32_t tile = 0; tile < TE_WINOGRAD_TILES; ++tile) {
                int32_t sum = 0;
                for (int32_t step = 0; step < steps; ++step) {
                    const int32_t at = (step * TE_WINOGRAD_POSITIONS + position) * TE_WINOGRAD_TILES + tile;
                    sum = te_dual_mac(filters[step * TE_WINOGRAD_CHANNELS + channel], patches[at], sum);
                }
                *sums++ = sum;
            }
        }
        filters += TE_WINOGRAD_CHANNELS * steps;
    }
}

/** @param channel  TE_WINOGRAD_CHANNEL_WORDS. */
static int8_t finish(uint32_t four_sums, const uint32_t *channel) {
    int32_t sum = te_rounded_high_plus(((int32_t)four_sums >> 2) + (int32_t)channel[0], (int32_t)channel[1]);
    sum += (sum < 0 ? -1 : 0) + (int32_t)channel[2];
    return (int8_t)te_saturate8(sum >> channel[3]);
}

/** A' m of one column, modulo 2^32, and of one row. */
static uint32_t upper(const uint32_t m[4]) {
    return m[0] + m[1] + m[2];
}

static uint32_t lower(const uint32_t m[4]) {
    return m[1] - m[2] - m[3];
}

void te_winograd_outputs_dsp(const int32_t *sums, const uint32_t *channels, te_winograd_tile *tiles) {
    for (int32_t channel = 0; channel < TE_WINOGRAD_CHANNELS; ++channel) {
        const uint32_t *const requantisation = channels + channel * TE_WINOGRAD_CHANNEL_WORDS;
        for (int32_t i = TE_WINOGRAD_TILES - 1; i >= 0; --i) {
            te_winograd_tile *const tile = tiles + i;
            uint32_t above[4];
            uint32_t below[4];
            for (int32_t x = 0; x < 4; ++x) {
                uint32_t column[4];
                for (int32_t y = 0; y < 4; ++y) {
                    column[y] = (uint32_t)sums[((4 * y + x) * TE_WINOGRAD_CHANNELS + channel) * TE_WINOGRAD_TILES + i];
                }
                above[x] = upper(column);
                below[x] = lower(column);
            }
            tile->output[tile->below + tile->right] = finish(lower(below), requantisation);
            tile->output[tile->below] = finish(upper(below), requantisation);
            tile->output[tile->right] = finish(lower(above), requantisation);
            *tile->output++ = finish(upper(above), requantisation);
        }
    }
}

#endif

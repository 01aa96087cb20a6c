/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s4_scalar.h"

#include "te_sums_scalar.h"

#define TE_SUMS4 te_sums4_s4_scalar
#include "te_gemm_channels_scalar.h"

#if TE_SCALAR_THUMB == 1

/* Of a word of eight weights in r2, one into r7: 78 instructions for 32 multiply-accumulates. */
#define TE_WEIGHT(above)                \
    "    lsls r7, r2, #" above "\n" \
    "    asrs r7, r7, #28\n"

__asm__(
    ".syntax unified\n"
    TE_SUMS4_BEGIN("te_sums4_s4_scalar", "10")
    "1:\n"
    "    ldmia r1!, {r2}\n"
    TE_TWO_DEPTHS(TE_WEIGHT("28"), TE_WEIGHT("24"))
    TE_TWO_DEPTHS(TE_WEIGHT("20"), TE_WEIGHT("16"))
    TE_TWO_DEPTHS(TE_WEIGHT("12"), TE_WEIGHT("8"))
    TE_TWO_DEPTHS(TE_WEIGHT("4"), "    asrs r7, r2, #28\n")
    "    cmp r1, lr\n"
    "    bne 1b\n"
    TE_SUMS4_END("te_sums4_s4_scalar")
    "    .text\n");

#elif TE_SCALAR_THUMB == 2

/* Two of a word's eight weights: 58 instructions for 32 multiply-accumulates. */
#define TE_TWO_WEIGHTS(load, first, second) \
    "    ldr lr, " load "\n"                \
    "    sbfx r12, lr, #" first ", #4\n"    \
    "    sbfx lr, lr, #" second ", #4\n"

__asm__(
    ".syntax unified\n"
    TE_SUMS4_BEGIN("te_sums4_s4_scalar", "10")
    "1:\n"
    TE_TWO_DEPTHS(TE_TWO_WEIGHTS("[r1]", "0", "4"))
    TE_TWO_DEPTHS(TE_TWO_WEIGHTS("[r1]", "8", "12"))
    TE_TWO_DEPTHS(TE_TWO_WEIGHTS("[r1]", "16", "20"))
    TE_TWO_DEPTHS(TE_TWO_WEIGHTS("[r1], #4", "24", "28"))
    "    cmp r1, r2\n"
    "    bne 1b\n"
    TE_SUMS4_END("te_sums4_s4_scalar")
    "    .text\n");

#else /* The same in C. */

void te_sums4_s4_scalar(const uint32_t *columns, const uint32_t *row, int32_t words, int32_t sums[TE_SCALAR_SUMS]) {
    for (int32_t pair = 0; pair < 2; ++pair) {
        uint32_t whole = 0;
        uint32_t upper = 0;
        for (int32_t depth = 0; depth < 8 * words; depth += 2) {
            const uint32_t *const word = columns + 2 * depth + pair;
            const uint32_t above = row[depth / 8] << (28 - depth % 8 * 4);
            const int32_t first = (int32_t)above >> 28;
            const int32_t second = (int32_t)(row[depth / 8] << (24 - depth % 8 * 4)) >> 28;
            const uint32_t both = word[0] * (uint32_t)first + word[2] * (uint32_t)second;
            whole += both;
            upper += ((both + TE_FIELD_OFFSETS) >> 16) - TE_FIELD_OFFSET;
        }
        sums[2 * pair] = (int32_t)(whole - (upper << 16));
        sums[2 * pair + 1] = (int32_t)upper;
    }
}

#endif

void te_gemm4_s4_scalar(const te_gemm_s8_scalar *gemm, const uint32_t *streams, const int8_t *shifts, int32_t channels,
                        const uint32_t *columns, int8_t *output, int32_t pixels) {
    te_gemm_channels_scalar(gemm, streams, shifts, channels, columns, output, pixels);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"

/* The sum of exponentials has this many integer bits. */
#define SUM_INTEGER_BITS 12
#define CODES 256
/* From int8 codes to 0 ... 255, in all bytes. */
#define SIGNS 0x80808080u

/** exp() of each code less the largest one of its row: of code `largest - i` at [CODES - 1 - i]. */
static void fill_table(const te_softmax_params *params, uint32_t *table) {
    uint32_t *at = table;
    for (int32_t i = params->levels; i < CODES; ++i) {
        *at++ = 0;
    }
    for (int32_t i = params->levels; i > 0; --i) {
        *at++ = (uint32_t)params->exps[i - 1];
    }
}

static int32_t largest_of(const int8_t *input, int32_t depth) {
    uint32_t four = te_repeat_byte(INT8_MIN);
    for (; depth >= 4; depth -= 4) {
        four = te_max_bytes(four, te_load4(input));
        input += 4;
    }
    for (; depth > 0; --depth) {
        four = te_max_bytes(four, te_repeat_byte(*input++));
    }
    four = te_max_bytes(four, four >> 16 | four << 16);
    return (int8_t)(uint8_t)(te_max_bytes(four, four >> 8) & 0xffu);
}

static inline uint32_t sum_term(uint32_t exp) {
    return (exp + (1u << (SUM_INTEGER_BITS - 1))) >> SUM_INTEGER_BITS;
}

/** @param exps  exp() of each code, from -128 on. */
static uint32_t sum_of(const uint32_t *exps, const int8_t *input, int32_t depth) {
    uint32_t sum = 0;
    for (; depth >= 4; depth -= 4) {
        const uint32_t codes = te_load4(input) ^ SIGNS;
        sum += sum_term(exps[codes & 0xffu]);
        sum += sum_term(exps[codes >> 8 & 0xffu]);
        sum += sum_term(exps[codes >> 16 & 0xffu]);
        sum += sum_term(exps[codes >> 24]);
        input += 4;
    }
    for (; depth > 0; --depth) {
        sum += sum_term(exps[*input++ - INT8_MIN]);
    }
    return sum;
}

/** te_reciprocal_of_one_plus(x) for x in [0, 2^31): there, only the last doubling can leave 32 bits. */
static int32_t reciprocal_of_one_plus(int32_t x) {
    /* te_high_mul(x / 2 + 2^30, y) is te_rounded_high_plus(y, of this). */
    const int32_t half = (int32_t)(((uint32_t)x & ~1u) + 0x80000000u);
    int32_t estimate = 1515870810 + te_rounded_high_plus(-1010580540, half);
    for (int32_t step = 0; step < 3; ++step) {
        const int32_t error = ((int32_t)1 << 29) - te_rounded_high_plus(estimate, half);
        estimate += te_rounded_high(estimate, error * 2) * 4;
    }
    return estimate >= (int32_t)1 << 30 ? INT32_MAX : estimate * 2;
}

typedef struct {
    int32_t reciprocal; /**< As te_rounded_high_plus() takes it. */
    uint32_t half;
    int32_t exponent;
} scaling;

/** In steps of 1/256. */
static inline uint32_t share_of(uint32_t exp, scaling how) {
    const uint32_t product = (uint32_t)te_rounded_high_plus((int32_t)exp, how.reciprocal);
    return te_saturate_unsigned8((int32_t)((product + how.half) >> how.exponent));
}

static void write_shares(const uint32_t *exps, const int8_t *input, int8_t *output, int32_t depth, scaling how) {
    for (; depth >= 4; depth -= 4) {
        const uint32_t codes = te_load4(input) ^ SIGNS;
        uint32_t shares = share_of(exps[codes & 0xffu], how);
        shares |= share_of(exps[codes >> 8 & 0xffu], how) << 8;
        shares |= share_of(exps[codes >> 16 & 0xffu], how) << 16;
        shares |= share_of(exps[codes >> 24], how) << 24;
        te_store4(output, shares ^ SIGNS);
        input += 4;
        output += 4;
    }
    for (; depth > 0; --depth) {
        *output++ = (int8_t)((int32_t)share_of(exps[*input++ - INT8_MIN], how) + INT8_MIN);
    }
}

void te_softmax_s8_dsp(const te_softmax_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const int32_t depth = params->depth;
    uint32_t *table = scratch;
    fill_table(params, table);
    for (int32_t row = params->rows; row > 0; --row) {
        const uint32_t *exps = table + (INT8_MAX - largest_of(input, depth));
        const uint32_t sum = sum_of(exps, input, depth);
        /* sum = 2^(SUM_INTEGER_BITS - zeros) * (1 + x), so that only 1 / (1 + x) needs computing. */
        const int32_t zeros = te_count_leading_zeros(sum);
        const int32_t reciprocal = reciprocal_of_one_plus((int32_t)((sum << zeros) & 0x7fffffffu));
        const int32_t exponent = SUM_INTEGER_BITS - zeros + 31 - 8;
        scaling how = {(int32_t)((uint32_t)reciprocal << 1), 0, 31};
        /* Beyond 31 bits, which takes a sum of 512 and more, no share reaches half a step. */
        if (exponent <= 31) {
            how.half = 1u << (exponent - 1);
            how.exponent = exponent;
        }
        write_shares(exps, input, output, depth, how);
        input += depth;
        output += depth;
    }
}

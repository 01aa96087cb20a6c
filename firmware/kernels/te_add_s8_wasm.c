/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_requantise.h"
#include "te_wasm.h"

/* As te_add_s8() scales its operands; the second one by 1/2, which is exact. */
#define HEADROOM 20

#if defined(__wasm_simd128__)

/** What te_requantise() needs of a multiplier whose shift is not positive, for four values at a time. */
typedef struct {
    te_vector multiplier;
    te_vector rounding; /**< Both roundings' halves and the zero point, for products of 2^1 times a value. */
    te_vector negative; /**< -1 where a second rounding takes halves away from zero, else 0. */
    int32_t shift;
} te_scale;

static te_scale scale_of(int32_t multiplier, int32_t shift, int32_t zero_point) {
    const int32_t right = -shift;
    const int64_t halves = ((int64_t)1 << 31) + (right > 0 ? (int64_t)1 << (31 + right) : 0);
    const te_scale scale = {wasm_i32x4_splat(multiplier),
                            wasm_i64x2_splat(halves + zero_point * ((int64_t)1 << (32 + right))),
                            wasm_i32x4_splat(right > 0 ? -1 : 0), right};
    return scale;
}

/** te_requantise() of four values, of which twice as much is given, plus the zero point. */
static inline te_vector requantise_twice(te_vector twice, const te_scale *scale) {
    const te_vector low = wasm_i64x2_add(wasm_i64x2_extmul_low_i32x4(twice, scale->multiplier), scale->rounding);
    const te_vector high = wasm_i64x2_add(wasm_i64x2_extmul_high_i32x4(twice, scale->multiplier), scale->rounding);
    const te_vector sign = wasm_v128_and(wasm_i32x4_shr(twice, 31), scale->negative);
    return wasm_i32x4_shr(wasm_i32x4_add(wasm_i32x4_shuffle(low, high, 1, 3, 5, 7), sign), (uint32_t)scale->shift);
}

typedef struct {
    te_vector zero_point1, zero_point2;
    te_scale first, output;
} add_constants;

/** The sum of four values of each operand before it is limited. */
static inline te_vector add_four(te_vector a, te_vector b, const add_constants *with) {
    const te_vector shifted = wasm_i32x4_shl(wasm_i32x4_sub(a, with->zero_point1), HEADROOM + 1);
    const te_vector exact = wasm_i32x4_shl(wasm_i32x4_sub(b, with->zero_point2), HEADROOM);
    const te_vector scaled = requantise_twice(shifted, &with->first);
    return requantise_twice(wasm_i32x4_add(wasm_i32x4_add(scaled, scaled), exact), &with->output);
}

static int32_t add_vectors(const te_add_wasm_params *params, const int8_t *input1, const int8_t *input2,
                           int8_t *output) {
    const add_constants with = {
        wasm_i32x4_splat(params->input1_zero_point), wasm_i32x4_splat(params->input2_zero_point),
        scale_of(params->input1_multiplier, params->input1_shift, 0),
        scale_of(params->output_multiplier, params->output_shift, params->output_zero_point)};
    const te_vector low = te_splat16(params->output_min), high = te_splat16(params->output_max);
    int32_t i = 0;
    for (; i + 8 <= params->count; i += 8) {
        const te_vector a = te_load_widened(input1 + i), b = te_load_widened(input2 + i);
        const te_vector first = add_four(wasm_i32x4_extend_low_i16x8(a), wasm_i32x4_extend_low_i16x8(b), &with);
        const te_vector last = add_four(wasm_i32x4_extend_high_i16x8(a), wasm_i32x4_extend_high_i16x8(b), &with);
        te_store_limited(output + i, first, last, low, high, 8);
    }
    return i;
}

#endif

void te_add_s8_wasm(const te_add_wasm_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                    void *scratch) {
    int32_t i = 0;
    (void)scratch;
#if defined(__wasm_simd128__)
    i = add_vectors(params, input1, input2, output);
#endif
    for (; i < params->count; ++i) {
        const int32_t shifted = (input1[i] - params->input1_zero_point) * (1 << HEADROOM);
        const int32_t exact = (input2[i] - params->input2_zero_point) * (1 << (HEADROOM - 1));
        const int32_t scaled = te_requantise(shifted, params->input1_multiplier, params->input1_shift);
        const int32_t sum = te_requantise(scaled + exact, params->output_multiplier, params->output_shift);
        output[i] = te_clamp(sum + params->output_zero_point, params->output_min, params->output_max);
    }
}

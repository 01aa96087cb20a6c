/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_requantise.h"
#include "te_wasm.h"

/* As te_add_s8() scales its operands; the second one by 1/2, which is exact. */
#define HEADROOM 20

#if defined(__wasm_simd128__)

/** te_requantise() of four values, whose shift is not positive. */
static inline te_vector requantise_all(te_vector x, te_vector multiplier, int32_t right) {
    const te_vector half = wasm_i64x2_const_splat((int64_t)1 << 30);
    const te_vector low = wasm_i64x2_add(wasm_i64x2_extmul_low_i32x4(x, multiplier), half);
    const te_vector high = wasm_i64x2_add(wasm_i64x2_extmul_high_i32x4(x, multiplier), half);
    const te_vector product =
        wasm_i32x4_shuffle(wasm_i64x2_shl(low, 1), wasm_i64x2_shl(high, 1), 1, 3, 5, 7);
    if (right == 0) {
        return product;
    }
    const te_vector rounded = wasm_i32x4_add(product, wasm_i32x4_splat(1 << (right - 1)));
    return wasm_i32x4_shr(wasm_i32x4_add(rounded, wasm_i32x4_shr(product, 31)), (uint32_t)right);
}

typedef struct {
    te_vector zero_point1, zero_point2, multiplier1, output_multiplier, output_zero_point;
    int32_t right1, output_right;
} add_constants;

/** The sum of four values of each operand before it is limited. */
static inline te_vector add_four(te_vector a, te_vector b, const add_constants *with) {
    const te_vector shifted = wasm_i32x4_shl(wasm_i32x4_sub(a, with->zero_point1), HEADROOM);
    const te_vector exact = wasm_i32x4_shl(wasm_i32x4_sub(b, with->zero_point2), HEADROOM - 1);
    const te_vector sum = wasm_i32x4_add(requantise_all(shifted, with->multiplier1, with->right1), exact);
    return wasm_i32x4_add(requantise_all(sum, with->output_multiplier, with->output_right), with->output_zero_point);
}

static int32_t add_vectors(const te_add_wasm_params *params, const int8_t *input1, const int8_t *input2,
                           int8_t *output) {
    const add_constants with = {wasm_i32x4_splat(params->input1_zero_point),
                                wasm_i32x4_splat(params->input2_zero_point),
                                wasm_i32x4_splat(params->input1_multiplier),
                                wasm_i32x4_splat(params->output_multiplier),
                                wasm_i32x4_splat(params->output_zero_point),
                                -params->input1_shift,
                                -params->output_shift};
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

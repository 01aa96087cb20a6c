/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_wasm.h
 *  Vectors of 128 bits as the kernels for WebAssembly use them, and the same in plain C where there are none.
 *
 *  Requantisation. Beside the sums x of four channels lie TE_WASM_CONSTANTS words of constants, four of each kind: the
 *  bias at which a sum starts, a power of two f, the multiplier m, eight words that are four addends c of 64 bits, and k.
 *  With the layer's shift, the output is
 *
 *      (floor((x * f * m + c) / 2^32) + (x < 0 ? k : 0)) >> shift
 *
 *  which is te_requantise() plus the output's zero point: f brings all channels to one right shift, c holds the halves of
 *  both roundings and the zero point, and k takes away what makes negative halves round away from zero.
 *  tinyedge/compiler/kernels/wasm_packing.py finds the numbers, and proves that x * f fits 32 bits. */
#ifndef TE_WASM_H
#define TE_WASM_H

#include <stdint.h>
#include <string.h>

/** Words of constants of four channels. */
#define TE_WASM_CONSTANTS 24
/** Of which so many come before the addends. */
#define TE_WASM_ADDENDS 12
#define TE_WASM_CORRECTION 20

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

typedef v128_t te_vector;

static inline te_vector te_load_vector(const void *from) {
    return wasm_v128_load(from);
}

static inline void te_store_vector(void *to, te_vector vector) {
    wasm_v128_store(to, vector);
}

/** Eight int8 values as int16. */
static inline te_vector te_load_widened(const int8_t *from) {
    return wasm_i16x8_load8x8(from);
}

static inline te_vector te_splat16(int32_t value) {
    return wasm_i16x8_splat((int16_t)value);
}

/** Two int16 values that lie beside each other, four times. */
static inline te_vector te_splat_pair(const int16_t *from) {
    return wasm_v128_load32_splat(from);
}

/** sums + the four sums of two products each. */
static inline te_vector te_add_products(te_vector sums, te_vector a, te_vector b) {
    return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(a, b));
}

static inline te_vector te_add16(te_vector a, te_vector b) {
    return wasm_i16x8_add(a, b);
}

static inline te_vector te_sub16(te_vector a, te_vector b) {
    return wasm_i16x8_sub(a, b);
}

static inline te_vector te_add32(te_vector a, te_vector b) {
    return wasm_i32x4_add(a, b);
}

static inline te_vector te_sub32(te_vector a, te_vector b) {
    return wasm_i32x4_sub(a, b);
}

/** Four int32 values, multiples of four, by four. */
static inline te_vector te_quarter(te_vector vector) {
    return wasm_i32x4_shr(vector, 2);
}

/** The first four int16 values of a and b in turns. */
static inline te_vector te_zip_first(te_vector a, te_vector b) {
    return wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** The last four. */
static inline te_vector te_zip_last(te_vector a, te_vector b) {
    return wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** Four outputs from four sums; see above. */
static inline te_vector te_requantise_four(te_vector sums, const int32_t *constants, int32_t shift) {
    const te_vector scaled = wasm_i32x4_mul(sums, wasm_v128_load(constants + 4));
    const te_vector multipliers = wasm_v128_load(constants + 8);
    const te_vector low = wasm_i64x2_add(wasm_i64x2_extmul_low_i32x4(scaled, multipliers),
                                         wasm_v128_load(constants + TE_WASM_ADDENDS));
    const te_vector high = wasm_i64x2_add(wasm_i64x2_extmul_high_i32x4(scaled, multipliers),
                                          wasm_v128_load(constants + TE_WASM_ADDENDS + 4));
    const te_vector negative = wasm_v128_and(wasm_i32x4_shr(sums, 31),
                                             wasm_v128_load(constants + TE_WASM_CORRECTION));
    return wasm_i32x4_shr(wasm_i32x4_add(wasm_i32x4_shuffle(low, high, 1, 3, 5, 7), negative), (uint32_t)shift);
}

/** Eight int32 values as int8, limited to [low, high] in eight bytes each.
 *  @param count  How many of them are written, from 1 to 8. */
static inline void te_store_limited(int8_t *to, te_vector first, te_vector last, te_vector low, te_vector high,
                                    int32_t count) {
    const te_vector words = wasm_i16x8_narrow_i32x4(first, last);
    const te_vector bytes = wasm_i16x8_min(wasm_i16x8_max(words, low), high);
    const te_vector narrow = wasm_i8x16_narrow_i16x8(bytes, bytes);
    if (count == 8) {
        wasm_v128_store64_lane(to, narrow, 0);
    } else {
        int8_t all[16];
        wasm_v128_store(all, narrow);
        for (int32_t i = 0; i < count; ++i) {
            to[i] = all[i];
        }
    }
}

#else

/** Four int32 or eight int16 values. */
typedef union {
    int32_t words[4];
    int16_t halves[8];
} te_vector;

static inline te_vector te_load_vector(const void *from) {
    te_vector vector;
    memcpy(&vector, from, sizeof vector);
    return vector;
}

static inline void te_store_vector(void *to, te_vector vector) {
    memcpy(to, &vector, sizeof vector);
}

static inline te_vector te_load_widened(const int8_t *from) {
    te_vector vector;
    for (int32_t i = 0; i < 8; ++i) {
        vector.halves[i] = from[i];
    }
    return vector;
}

static inline te_vector te_splat16(int32_t value) {
    te_vector vector;
    for (int32_t i = 0; i < 8; ++i) {
        vector.halves[i] = (int16_t)value;
    }
    return vector;
}

static inline te_vector te_splat_pair(const int16_t *from) {
    te_vector vector;
    for (int32_t i = 0; i < 8; ++i) {
        vector.halves[i] = from[i % 2];
    }
    return vector;
}

static inline te_vector te_add_products(te_vector sums, te_vector a, te_vector b) {
    for (int32_t i = 0; i < 4; ++i) {
        sums.words[i] += a.halves[2 * i] * b.halves[2 * i] + a.halves[2 * i + 1] * b.halves[2 * i + 1];
    }
    return sums;
}

static inline te_vector te_add16(te_vector a, te_vector b) {
    for (int32_t i = 0; i < 8; ++i) {
        a.halves[i] = (int16_t)(a.halves[i] + b.halves[i]);
    }
    return a;
}

static inline te_vector te_sub16(te_vector a, te_vector b) {
    for (int32_t i = 0; i < 8; ++i) {
        a.halves[i] = (int16_t)(a.halves[i] - b.halves[i]);
    }
    return a;
}

static inline te_vector te_add32(te_vector a, te_vector b) {
    for (int32_t i = 0; i < 4; ++i) {
        a.words[i] = (int32_t)((uint32_t)a.words[i] + (uint32_t)b.words[i]);
    }
    return a;
}

static inline te_vector te_sub32(te_vector a, te_vector b) {
    for (int32_t i = 0; i < 4; ++i) {
        a.words[i] = (int32_t)((uint32_t)a.words[i] - (uint32_t)b.words[i]);
    }
    return a;
}

static inline te_vector te_quarter(te_vector vector) {
    for (int32_t i = 0; i < 4; ++i) {
        vector.words[i] /= 4;
    }
    return vector;
}

static inline te_vector te_zip_first(te_vector a, te_vector b) {
    te_vector vector;
    for (int32_t i = 0; i < 4; ++i) {
        vector.halves[2 * i] = a.halves[i];
        vector.halves[2 * i + 1] = b.halves[i];
    }
    return vector;
}

static inline te_vector te_zip_last(te_vector a, te_vector b) {
    te_vector vector;
    for (int32_t i = 0; i < 4; ++i) {
        vector.halves[2 * i] = a.halves[i + 4];
        vector.halves[2 * i + 1] = b.halves[i + 4];
    }
    return vector;
}

static inline te_vector te_requantise_four(te_vector sums, const int32_t *constants, int32_t shift) {
    int64_t addends[4];
    te_vector outputs;
    memcpy(addends, constants + TE_WASM_ADDENDS, sizeof addends);
    for (int32_t i = 0; i < 4; ++i) {
        const int64_t scaled = (int64_t)(sums.words[i] * constants[4 + i]) * constants[8 + i];
        const int32_t high = (int32_t)((scaled + addends[i]) >> 32);
        outputs.words[i] = (high + (sums.words[i] < 0 ? constants[TE_WASM_CORRECTION + i] : 0)) >> shift;
    }
    return outputs;
}

static inline void te_store_limited(int8_t *to, te_vector first, te_vector last, te_vector low, te_vector high,
                                    int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        const int32_t value = i < 4 ? first.words[i] : last.words[i - 4];
        const int32_t floored = value < low.halves[0] ? low.halves[0] : value;
        to[i] = (int8_t)(floored > high.halves[0] ? high.halves[0] : floored);
    }
}

#endif

#endif /* TE_WASM_H */

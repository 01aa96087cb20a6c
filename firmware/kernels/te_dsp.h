/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_dsp.h
 *  The instructions of Armv7E-M and Armv8-M with DSP that the `_dsp` kernels use, and the same in C for any other
 *  machine, so that all that surrounds the assembly runs and is tested there; a Cortex-M without the extension is
 *  better served by the portable kernels. Little-endian, like every Cortex-M that is made. */
#ifndef TE_DSP_H
#define TE_DSP_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__)
/** 1 where the assembly is compiled, 0 where its C stand-in is. */
#define TE_DSP_ASSEMBLY 1
#else
#define TE_DSP_ASSEMBLY 0
#endif
#if !TE_DSP_ASSEMBLY && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#error "This Cortex-M has no DSP extension, or -mcpu does not say so: compile the model with --instruction-set scalar"
#endif

/** Four bytes at any address as one word. */
static inline uint32_t te_load4(const void *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/** Two bytes at any address as the low half of a word. */
static inline uint32_t te_load2(const void *at) {
    uint16_t halfword;
    memcpy(&halfword, at, sizeof halfword);
    return halfword;
}

static inline void te_store4(void *at, uint32_t word) {
    memcpy(at, &word, sizeof word);
}

/** The low half of x as a signed number. */
static inline int32_t te_low(uint32_t x) {
    return (int16_t)(uint16_t)(x & 0xffffu);
}

/** The high half of x as a signed number. */
static inline int32_t te_high(uint32_t x) {
    return (int16_t)(uint16_t)(x >> 16);
}

/** Two halves as one word. */
static inline uint32_t te_pack(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xffffu) | ((uint32_t)high << 16);
}

/** Bytes 0 and 2 of x, sign-extended to halves (SXTB16). */
static inline uint32_t te_even_bytes(uint32_t x) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return te_pack((int8_t)(uint8_t)(x & 0xffu), (int8_t)(uint8_t)((x >> 16) & 0xffu));
#endif
}

/** Bytes 1 and 3 of x, sign-extended to halves (SXTB16 with a rotation). */
static inline uint32_t te_odd_bytes(uint32_t x) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
    return result;
#else
    return te_even_bytes((x >> 8) | (x << 24));
#endif
}

/** The low half of a, and above it that of b (PKHBT). */
static inline uint32_t te_low_halves(uint32_t a, uint32_t b) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return (a & 0xffffu) | b << 16;
#endif
}

/** The high half of a, and above it that of b (PKHTB). */
static inline uint32_t te_high_halves(uint32_t a, uint32_t b) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return a >> 16 | (b & 0xffff0000u);
#endif
}

/** The sums of both halves of `sums` and bytes 0 and 2 of x (SXTAB16). */
static inline uint32_t te_add_even_bytes(uint32_t sums, uint32_t x) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(sums), "r"(x));
    return result;
#else
    const uint32_t bytes = te_even_bytes(x);
    return te_pack(te_low(sums) + te_low(bytes), te_high(sums) + te_high(bytes));
#endif
}

/** The sums of both halves of `sums` and bytes 1 and 3 of x (SXTAB16 with a rotation). */
static inline uint32_t te_add_odd_bytes(uint32_t sums, uint32_t x) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sums), "r"(x));
    return result;
#else
    return te_add_even_bytes(sums, (x >> 8) | (x << 24));
#endif
}

/** The sums of both halves, modulo 2^16 each (SADD16). */
static inline uint32_t te_add_halves(uint32_t a, uint32_t b) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("sadd16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return te_pack(te_low(a) + te_low(b), te_high(a) + te_high(b));
#endif
}

/** The differences of both halves, modulo 2^16 each (SSUB16). */
static inline uint32_t te_subtract_halves(uint32_t a, uint32_t b) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("ssub16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return te_pack(te_low(a) - te_low(b), te_high(a) - te_high(b));
#endif
}

/** The larger of each two signed bytes (SSUB8, SEL). */
static inline uint32_t te_max_bytes(uint32_t a, uint32_t b) {
    uint32_t result;
#if TE_DSP_ASSEMBLY
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
#else
    result = 0;
    for (int32_t shift = 0; shift < 32; shift += 8) {
        const int8_t first = (int8_t)(uint8_t)((a >> shift) & 0xffu);
        const int8_t second = (int8_t)(uint8_t)((b >> shift) & 0xffu);
        result |= (uint32_t)(uint8_t)(first > second ? first : second) << shift;
    }
#endif
    return result;
}

/** The smaller of each two signed bytes (SSUB8, SEL). */
static inline uint32_t te_min_bytes(uint32_t a, uint32_t b) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    return ~te_max_bytes(~a, ~b);
#endif
}

/** The larger of each two signed halves (SSUB16, SEL). */
static inline uint32_t te_max_halves(uint32_t a, uint32_t b) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("ssub16 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    return te_pack(te_low(a) > te_low(b) ? te_low(a) : te_low(b), te_high(a) > te_high(b) ? te_high(a) : te_high(b));
#endif
}

/** The smaller of each two signed halves (SSUB16, SEL). */
static inline uint32_t te_min_halves(uint32_t a, uint32_t b) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("ssub16 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    return ~te_max_halves(~a, ~b);
#endif
}

/** The same byte four times. */
static inline uint32_t te_repeat_byte(int32_t value) {
    return ((uint32_t)value & 0xffu) * 0x01010101u;
}

/** The same half twice. */
static inline uint32_t te_repeat_half(int32_t value) {
    return ((uint32_t)value & 0xffffu) * 0x00010001u;
}

/** sum + low(a) * low(b) + high(a) * high(b) modulo 2^32 (SMLAD). */
static inline int32_t te_dual_mac(uint32_t a, uint32_t b, int32_t sum) {
#if TE_DSP_ASSEMBLY
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return (int32_t)((uint32_t)sum + (uint32_t)(te_low(a) * te_low(b)) + (uint32_t)(te_high(a) * te_high(b)));
#endif
}

/** The same modulo 2^64 (SMLALD). */
static inline int64_t te_dual_mac_long(uint32_t a, uint32_t b, int64_t sum) {
#if TE_DSP_ASSEMBLY
    __asm__("smlald %Q0, %R0, %1, %2" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
#else
    return sum + te_low(a) * te_low(b) + (int64_t)te_high(a) * te_high(b);
#endif
}

/** The high word of the rounded product: round(a * b / 2^32), halves towards plus infinity (SMMULR). */
static inline int32_t te_rounded_high(int32_t a, int32_t b) {
#if TE_DSP_ASSEMBLY
    int32_t result;
    __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/** sum + te_rounded_high(a, b) (SMMLAR). */
static inline int32_t te_add_rounded_high(int32_t a, int32_t b, int32_t sum) {
#if TE_DSP_ASSEMBLY
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return sum + te_rounded_high(a, b);
#endif
}

/** a modulo 2^32 plus te_rounded_high(a, b): the product of a with b + 2^32 (SMMLAR). */
static inline int32_t te_rounded_high_plus(int32_t a, int32_t b) {
#if TE_DSP_ASSEMBLY
    int32_t result;
    __asm__("smmlar %0, %1, %2, %1" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return (int32_t)((uint32_t)a + (uint32_t)te_rounded_high(a, b));
#endif
}

/** 2^(32 - right), or so much more that products with numbers below that are still halves where they were, but those of
 *  negative ones a little less: then te_rounded_high() rounds halves away from zero. With the zero point -128 that of
 *  negative ones is -128 in any case.
 *  @param right  At least 2. */
static inline int32_t te_quick_factor(int32_t right, int32_t output_zero_point) {
    return (1 << (32 - right)) + (output_zero_point == -128 ? 0 : 1);
}

/** x limited to [-128, 127] (SSAT). */
static inline int32_t te_saturate8(int32_t x) {
#if TE_DSP_ASSEMBLY
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return x < -128 ? -128 : (x > 127 ? 127 : x);
#endif
}

/** A word with another byte (BFI).
 *  @param bit  The byte's lowest bit, a constant. */
static inline uint32_t te_insert_byte(uint32_t word, int32_t byte, int32_t bit) {
#if TE_DSP_ASSEMBLY
    __asm__("bfi %0, %1, %2, #8" : "+r"(word) : "r"(byte), "I"(bit));
    return word;
#else
    return (word & ~((uint32_t)0xff << bit)) | ((uint32_t)byte & 0xffu) << bit;
#endif
}

/** x limited to [-32768, 32767] (SSAT). */
static inline int32_t te_saturate16(int32_t x) {
#if TE_DSP_ASSEMBLY
    int32_t result;
    __asm__("ssat %0, #16, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return x < INT16_MIN ? INT16_MIN : (x > INT16_MAX ? INT16_MAX : x);
#endif
}

/** x limited to [0, 255] (USAT). */
static inline uint32_t te_saturate_unsigned8(int32_t x) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("usat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return x < 0 ? 0u : (x > UINT8_MAX ? UINT8_MAX : (uint32_t)x);
#endif
}

/** x limited to [0, 32767] (USAT). */
static inline uint32_t te_saturate_unsigned15(int32_t x) {
#if TE_DSP_ASSEMBLY
    uint32_t result;
    __asm__("usat %0, #15, %1" : "=r"(result) : "r"(x));
    return result;
#else
    return x < 0 ? 0u : (x > INT16_MAX ? INT16_MAX : (uint32_t)x);
#endif
}

/** Zeros above the highest bit that is set, 32 of 0 (CLZ). */
static inline int32_t te_count_leading_zeros(uint32_t x) {
    int32_t zeros;
#if TE_DSP_ASSEMBLY
    __asm__("clz %0, %1" : "=r"(zeros) : "r"(x));
#else
    for (zeros = 0; zeros < 32 && (x & 0x80000000u) == 0; ++zeros) {
        x <<= 1;
    }
#endif
    return zeros;
}

#endif /* TE_DSP_H */

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_text.h"

#include <string.h>

#define TE_FLOAT_MANTISSA_BITS 23
#define TE_FLOAT_BIAS 150 /* 127 plus the mantissa's bits: value = mantissa * 2^(exponent - bias). */
#define TE_FLOAT_EXPONENT_NOT_FINITE 255

/* A float taken apart: value = (-1)^negative * mantissa * 2^exponent, exactly. */
typedef struct {
    uint32_t mantissa;
    int32_t exponent;
    bool negative;
    bool finite;
} te_float_parts;

static te_float_parts te_float_split(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t biased = (bits >> TE_FLOAT_MANTISSA_BITS) & 255u;
    const uint32_t fraction = bits & ((1u << TE_FLOAT_MANTISSA_BITS) - 1u);
    te_float_parts parts;
    parts.negative = (bits >> 31) != 0u;
    parts.finite = biased != TE_FLOAT_EXPONENT_NOT_FINITE;
    parts.mantissa = biased == 0u ? fraction : fraction | (1u << TE_FLOAT_MANTISSA_BITS);
    parts.exponent = (int32_t)(biased == 0u ? 1u : biased) - TE_FLOAT_BIAS;
    return parts;
}

uint32_t te_divide(uint64_t *value, uint32_t by) {
    uint64_t quotient = 0;
    uint32_t rest = 0;
    for (int32_t shift = 48; shift >= 0; shift -= 16) {
        rest = rest << 16 | (uint32_t)(*value >> shift & 0xffffu);
        quotient = quotient << 16 | rest / by;
        rest %= by;
    }
    *value = quotient;
    return rest;
}

bool te_same_text(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

void te_put_text(te_put put, const char *text) {
    for (; *text != '\0'; text++) {
        put(*text);
    }
}

void te_put_printable(te_put put, const char *text) {
    for (; *text != '\0'; text++) {
        put(*text >= ' ' && *text <= '~' && *text != ']' ? *text : '?');
    }
}

void te_put_json_string(te_put put, const char *text) {
    put('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            put('\\');
        }
        put(*text >= ' ' && *text <= '~' ? *text : '?');
    }
    put('"');
}

void te_put_unsigned(te_put put, uint64_t value) {
    char digits[20]; /* 2^64 - 1 has 20. */
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + (char)te_divide(&value, 10u));
    } while (value != 0u);
    while (count > 0u) {
        put(digits[--count]);
    }
}

void te_put_signed(te_put put, int32_t value) {
    if (value < 0) {
        put('-');
    }
    te_put_unsigned(put, value < 0 ? (uint64_t)(-(int64_t)value) : (uint64_t)value);
}

void te_put_hex(te_put put, uint32_t value, int32_t digits) {
    while (digits > 0) {
        digits--;
        put("0123456789ABCDEF"[(value >> (4 * digits)) & 15u]);
    }
}

void te_put_fixed3(te_put put, float value) {
    const te_float_parts parts = te_float_split(value);
    if (!parts.finite) {
        te_put_text(put, "nan");
        return;
    }
    const uint64_t limit = 9007199254740992u; /* 2^53 */
    uint64_t thousandths = (uint64_t)parts.mantissa * 1000u; /* times 2^exponent; below 2^34 */
    if (parts.exponent >= 0) {
        /* A mantissa of 24 bits reaches 2^53 at an exponent of 30. */
        thousandths = parts.exponent < 30 && parts.mantissa != 0u ? thousandths << parts.exponent : limit * 1000u;
    } else if (parts.exponent > -64) {
        const uint64_t rest = thousandths & (((uint64_t)1 << -parts.exponent) - 1u);
        const uint64_t half = (uint64_t)1 << (-parts.exponent - 1);
        thousandths >>= -parts.exponent;
        if (rest > half || (rest == half && (thousandths & 1u) != 0u)) {
            thousandths++;
        }
    } else {
        thousandths = 0;
    }
    if (parts.negative) {
        put('-');
    }
    const uint32_t decimals = te_divide(&thousandths, 1000u);
    te_put_unsigned(put, thousandths);
    put('.');
    put((char)('0' + (char)(decimals / 100u)));
    put((char)('0' + (char)(decimals / 10u % 10u)));
    put((char)('0' + (char)(decimals % 10u)));
}

void te_put_float(te_put put, float value) {
    const te_float_parts parts = te_float_split(value);
    if (!parts.finite || parts.negative || parts.mantissa == 0u) {
        put('0');
        return;
    }
    /* Trade the binary exponent for a decimal one, keeping about 60 significant bits in `digits`. */
    uint64_t digits = parts.mantissa;
    int32_t binary = parts.exponent;
    int32_t decimal = 0;
    while (binary < 0) {
        if (digits < (uint64_t)1 << 60) {
            digits *= 10u;
            decimal--;
        } else {
            digits >>= 1;
            binary++;
        }
    }
    while (binary > 0) {
        if (digits < (uint64_t)1 << 60) {
            digits <<= 1;
            binary--;
        } else {
            (void)te_divide(&digits, 10u);
            decimal++;
        }
    }
    while (digits >= 10000000000u) {
        (void)te_divide(&digits, 10u);
        decimal++;
    }
    if (digits >= 1000000000u) { /* Ten digits: round to nine. */
        digits += 5u;
        (void)te_divide(&digits, 10u);
        decimal++;
    }
    te_put_unsigned(put, digits);
    if (decimal != 0) {
        put('e');
        te_put_signed(put, decimal);
    }
}

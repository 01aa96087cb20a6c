/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_text.h
 *  Numbers and strings as text, byte by byte through a function, without printf and its tens of kilobytes. */
#ifndef TE_TEXT_H
#define TE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/** Divides by a number below 2^16, sixteen bits at a time, and returns what is left: the C library's division of 64 bits
 *  takes over 700 bytes. */
uint32_t te_divide(uint64_t *value, uint32_t by);

/** Whether two strings are the same: strcmp() of the C library, written for speed, takes over 700 bytes. */
bool te_same_text(const char *a, const char *b);

/** Sends one byte. */
typedef void (*te_put)(char byte);

/** Sends `text` as it is. */
void te_put_text(te_put put, const char *text);

/** Sends `text` with every byte that is not printable ASCII, and ']', replaced by '?': safe inside "[...]". */
void te_put_printable(te_put put, const char *text);

/** Sends `text` as a JSON string with its quotes. */
void te_put_json_string(te_put put, const char *text);

/** Sends decimal digits. */
void te_put_unsigned(te_put put, uint64_t value);

/** Sends a sign where it is negative, and decimal digits. */
void te_put_signed(te_put put, int32_t value);

/** Sends `digits` (1 to 8) upper-case hexadecimal digits, the lowest ones of `value`. */
void te_put_hex(te_put put, uint32_t value, int32_t digits);

/** Sends `value` with three decimals, digit for digit what printf("%.3f") gives (ties to even on the exact binary
 *  value). Magnitudes from 2^53 on are sent as 9007199254740992.000, and what is not finite as "nan". */
void te_put_fixed3(te_put put, float value);

/** Sends a finite positive `value` as "DDDDDDDDDe-NN": nine significant digits, from which the same float comes back
 *  when it is parsed. Sends 0 for anything else. */
void te_put_float(te_put put, float value);

#endif /* TE_TEXT_H */

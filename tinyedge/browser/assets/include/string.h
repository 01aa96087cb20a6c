/* SPDX-License-Identifier: Apache-2.0 */
/** @file string.h
 *  What the kernels use of the C library's string.h where there is none: WebAssembly's bulk-memory instructions do it
 *  all, so these have no bodies. */
#ifndef TE_WEB_STRING_H
#define TE_WEB_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

#endif /* TE_WEB_STRING_H */

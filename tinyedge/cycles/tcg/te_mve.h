/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_mve.h
 *  Instructions of the vector extension, MVE (Armv8-M Architecture Reference Manual, DDI 0553, C2.4). */
#ifndef TE_MVE_H
#define TE_MVE_H

#include <stdbool.h>
#include <stdint.h>

#include "te_thumb.h"

/** Reads an instruction if it is one of MVE.
 *  @param out     Where what it is goes; its address and size are there.
 *  @param first   Its first half word.
 *  @param second  Its second one.
 *  @return Whether it is one. */
bool te_mve_decode(te_instruction *out, uint16_t first, uint16_t second);

#endif /* TE_MVE_H */

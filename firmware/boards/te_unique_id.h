/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_unique_id.h
 *  te_board_unique_id() of a part whose number can be read at any time: where the board's TOML file says. A board's file
 *  includes this once. */
#ifndef TE_UNIQUE_ID_H
#define TE_UNIQUE_ID_H

#include <stdint.h>

#include "te_board.h"

#ifdef TE_UNIQUE_ID_ORIGIN
const uint32_t *te_board_unique_id(void) {
    return (const uint32_t *)TE_UNIQUE_ID_ORIGIN;
}
#endif

#endif /* TE_UNIQUE_ID_H */

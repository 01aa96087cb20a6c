/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_board_store.h
 *  Where a board saves learned classes, in images that learn: boards/TE_BOARD_store_source implements it. */
#ifndef TE_BOARD_STORE_H
#define TE_BOARD_STORE_H

#include <stdint.h>

#include "te_store.h"

/** Finds the board's flash.
 *  @param flash         Is filled in; a slot may be too small for the record, which te_store_save() then says.
 *  @param record_bytes  That a slot has to hold. */
void te_board_open_store(te_store_flash *flash, uint32_t record_bytes);

#endif /* TE_BOARD_STORE_H */

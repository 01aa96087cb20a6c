/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_core.h
 *  Processors: how many cycles pass from one executed instruction to the next. */
#ifndef TE_CORE_H
#define TE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "te_flash.h"
#include "te_thumb.h"

/** What the cycles of an instruction depend on besides itself. */
typedef struct {
    uint64_t cycles;
    uint64_t waits; /**< Of `cycles`, those that the flash kept the processor waiting. */
    te_flash flash;
    te_instruction previous; /**< The one executed before. */
    uint32_t unaligned;      /**< How many wide instructions across two words came one after the other. */
    bool pipelined;          /**< Whether a load or a store right behind it overlaps with it. */
} te_machine;

/** A processor, or several of the same costs. */
typedef struct {
    const char *name; /**< As GCC has it: "cortex-m4". */
    /** Lets the cycles of an instruction pass. `jumped`: it does not lie right behind the one before. */
    void (*execute)(te_machine *machine, const te_instruction *instruction, bool jumped);
    /** Lets those pass that the address of a load or a store costs, after `execute`. */
    void (*access)(te_machine *machine, uint32_t address, uint32_t bytes, bool is_store);
} te_core;

/** @return The processor of a name, or NULL where there is no model of it. */
const te_core *te_find_core(const char *name);

extern const te_core te_cortex_m4;

#endif /* TE_CORE_H */

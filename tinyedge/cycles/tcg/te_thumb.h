/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_thumb.h
 *  Thumb instructions, as far as what they cost depends on them (ARMv7-M Architecture Reference Manual, DDI 0403E, A5). */
#ifndef TE_THUMB_H
#define TE_THUMB_H

#include <stdbool.h>
#include <stdint.h>

/** What an instruction costs is a matter of its kind. */
typedef enum {
    TE_ALU,             /**< Data processing, and what is not told apart from it. */
    TE_MULTIPLY,        /**< 32-bit result, of two halves too. */
    TE_MULTIPLY_ADD,    /**< The same, accumulated. */
    TE_MULTIPLY_LONG,   /**< 64-bit result. */
    TE_MULTIPLY_ADD_LONG,
    TE_DIVIDE,
    TE_LOAD,            /**< One register. */
    TE_STORE,           /**< One register; the address is a register and a constant. */
    TE_STORE_INDEXED,   /**< One register; the address is a sum of two. */
    TE_LOAD_DUAL,
    TE_STORE_DUAL,
    TE_LOAD_MANY,
    TE_STORE_MANY,
    TE_BRANCH,          /**< To an address in the instruction, conditional or not, a call too. */
    TE_BRANCH_INDIRECT, /**< To an address in a register. */
    TE_BRANCH_TABLE,    /**< TBB, TBH. */
    TE_LOAD_MANY_PC,    /**< A return: registers from memory, the program counter among them. */
    TE_IF_THEN,
    TE_SYSTEM,          /**< Barriers and special registers. */
    TE_FLOAT,
    TE_FLOAT_MULTIPLY_ADD,
    TE_FLOAT_DIVIDE,    /**< And square roots. */
    TE_FLOAT_LOAD,
    TE_FLOAT_STORE,
    TE_KINDS
} te_kind;

/** One instruction. Sets of registers have a bit a register, r0 the lowest. */
typedef struct {
    uint32_t address;
    uint16_t reads;      /**< Registers that it reads, those of the address not among them. */
    uint16_t writes;     /**< Registers that it writes. */
    uint16_t addressing; /**< Registers that its address is made of. */
    uint8_t kind;        /**< A te_kind. */
    uint8_t bytes;       /**< Two or four. */
    uint8_t words;       /**< Registers that a load or a store moves. */
    bool links;          /**< A call: the next address is where it returns to. */
    bool shifts;         /**< Data processing with a shifted register, or a shift. */
    bool packs;          /**< Parallel arithmetic, extensions, packing, saturation and bit fields. */
} te_instruction;

/** Reads an instruction.
 *  @param address  Where it is.
 *  @param first    Its first half word.
 *  @param second   Its second one; anything for one of two bytes. */
te_instruction te_thumb_decode(uint32_t address, uint16_t first, uint16_t second);

/** @param first  The first half word of an instruction.
 *  @return Whether a second one belongs to it. */
bool te_thumb_is_wide(uint16_t first);

#endif /* TE_THUMB_H */

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
    TE_LOOP_END,        /**< LE. */
    TE_VECTOR_LOAD,     /**< Of consecutive bytes, widened or not. */
    TE_VECTOR_STORE,
    TE_VECTOR_GATHER,   /**< From an address a lane. */
    TE_VECTOR_SCATTER,
    TE_VECTOR_LOAD_PART, /**< VLD2 and VLD4, each of which loads a part of several vectors. */
    TE_VECTOR_STORE_PART,
    TE_VECTOR_ADD,      /**< Sums, logic, minima, shifts of integers. */
    TE_VECTOR_SHIFT,    /**< Shifts that round or saturate, and sums with carry. */
    TE_VECTOR_NARROW,   /**< To lanes of half the size. */
    TE_VECTOR_REDUCE,   /**< An extreme or differences of all lanes. */
    TE_VECTOR_MULTIPLY, /**< And conversions of floats. */
    TE_VECTOR_SUM,      /**< A sum of all lanes, or of their products. */
    TE_VECTOR_COMPARE,  /**< And sums of floats. */
    TE_VECTOR_MOVE,     /**< Two lanes from or to core registers. */
    TE_VECTOR_PREDICATE,
    TE_KINDS
} te_kind;

/** One instruction. Sets of registers have a bit a register, r0 the lowest. */
typedef struct {
    uint32_t address;
    uint16_t reads;            /**< Registers that it reads, those of the address not among them. */
    uint16_t reads_late; /**< Of those, what a second stage takes: what is accumulated to, or stored. */
    uint16_t writes;           /**< Registers that it writes. */
    uint16_t addressing;       /**< Registers that its address is made of. */
    uint8_t vector_reads;      /**< Vectors that it reads, q0 the lowest bit; those of the addresses not among them. */
    uint8_t vector_writes;     /**< Vectors that it writes. */
    uint8_t vector_addressing; /**< A vector of addresses or offsets. */
    uint8_t kind;              /**< A te_kind. */
    uint8_t bytes;             /**< Two or four. */
    uint8_t words;             /**< Words that a load or a store moves, or lanes that a gather or a scatter does. */
    bool links;                /**< A call: the next address is where it returns to. */
    bool shifts;               /**< Data processing with a shifted register, or a shift. */
    bool packs;                /**< Parallel arithmetic, extensions, packing, saturation and bit fields. */
    bool late;                 /**< Arithmetic whose result takes a second stage: after a shift, parallel or saturating. */
    bool sets_flags;           /**< A narrow one that sets them, but behind IT. */
    bool simple;               /**< A narrow move, extension, or sum with a constant. */
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

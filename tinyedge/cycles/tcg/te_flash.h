/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_flash.h
 *  A flash memory that answers after wait states, and the small caches and the prefetch buffer before it: the "adaptive
 *  real-time memory accelerator" of STM32F4, L4 and L4+ (RM0090 3.4, RM0351 3.3.4, RM0432 3.3.4). */
#ifndef TE_FLASH_H
#define TE_FLASH_H

#include <stdbool.h>
#include <stdint.h>

#define TE_CACHE_LINES 1024

/** A cache: which parts of which lines of a memory it holds, the line that was used longest ago going first. */
typedef struct {
    uint32_t lines; /**< None is a cache that never holds anything; `ways` divides it. */
    uint32_t ways;  /**< Lines that an address may lie in; as many as `lines` is fully associative. */
    uint32_t line_bytes;
    uint32_t read_bytes; /**< What one read of the memory fills of a line. */
    uint64_t clock;
    uint32_t tags[TE_CACHE_LINES];
    uint32_t valid[TE_CACHE_LINES]; /**< A bit a part of the line. */
    uint64_t used[TE_CACHE_LINES];
    uint16_t guess[TE_CACHE_LINES]; /**< Where a line was found last, by its tag: the first place to look. */
} te_cache;

/** Whether a cache holds an address; a line that is looked up counts as used.
 *  @param fill  Whether it holds it from then on. */
bool te_cache_look_up(te_cache *cache, uint32_t address, bool fill);

/** A flash. Times are cycles of the processor. */
typedef struct {
    uint32_t begin;       /**< The first address that it has. */
    uint32_t end;         /**< The first address behind it. */
    uint32_t wait_states; /**< 0: no read ever waits. */
    uint32_t read_bytes;  /**< What one read brings. */
    bool prefetch;        /**< Whether the read after the one at hand is begun as soon as the flash is free. */
    te_cache instructions;
    te_cache data;
    uint64_t free_from;  /**< When it has answered its last read. */
    uint32_t fetched;    /**< The word that was fetched last: the processor has it. */
    uint32_t current;    /**< The read whose bytes the interface holds. */
    uint32_t prefetched; /**< The read that was begun before it was asked for. */
    uint64_t ready_from; /**< When that is there. */
} te_flash;

/** Nothing has been read yet. */
void te_flash_reset(te_flash *flash);

/** @param jumped  Whether the instruction before is not the one below in memory.
 *  @param now     The time.
 *  @return How many cycles the processor waits for an instruction. */
uint64_t te_flash_fetch(te_flash *flash, uint32_t address, uint32_t bytes, bool jumped, uint64_t now);

/** @return How many cycles the processor waits for data, beyond those that a load takes from RAM. */
uint64_t te_flash_load(te_flash *flash, uint32_t address, uint32_t bytes, uint64_t now);

#endif /* TE_FLASH_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_flash.c */
#include "te_flash.h"

#include <string.h>

#define TE_NONE UINT32_MAX
#define TE_WORD_BYTES 4u

static bool holds(const te_cache *cache, uint32_t line, uint32_t tag) {
    return cache->valid[line] != 0u && cache->tags[line] == tag;
}

static bool use(te_cache *cache, uint32_t line, uint32_t part, bool fill) {
    const bool held = (cache->valid[line] & part) != 0u;
    cache->used[line] = cache->clock;
    if (fill) {
        cache->valid[line] |= part;
    }
    return held;
}

bool te_cache_look_up(te_cache *cache, uint32_t address, bool fill) {
    if (cache->lines == 0u) {
        return false;
    }
    const uint32_t tag = address / cache->line_bytes;
    uint16_t *const guess = &cache->guess[tag % TE_CACHE_LINES];
    const uint32_t part = 1u << (address % cache->line_bytes / cache->read_bytes);
    const uint32_t first = tag % (cache->lines / cache->ways) * cache->ways;
    uint32_t oldest = first;
    cache->clock++;
    if (holds(cache, *guess, tag)) {
        return use(cache, *guess, part, fill);
    }
    for (uint32_t line = first; line < first + cache->ways; line++) {
        if (holds(cache, line, tag)) {
            *guess = (uint16_t)line;
            return use(cache, line, part, fill);
        }
        if (cache->used[line] < cache->used[oldest]) {
            oldest = line;
        }
    }
    if (fill) {
        *guess = (uint16_t)oldest;
        cache->tags[oldest] = tag;
        cache->valid[oldest] = part;
        cache->used[oldest] = cache->clock;
    }
    return false;
}

void te_flash_reset(te_flash *flash) {
    memset(flash->instructions.valid, 0, sizeof flash->instructions.valid);
    memset(flash->data.valid, 0, sizeof flash->data.valid);
    flash->free_from = 0;
    flash->fetched = flash->current = flash->prefetched = TE_NONE;
}

static bool within(const te_flash *flash, uint32_t address) {
    return flash->wait_states > 0u && address >= flash->begin && address < flash->end;
}

/* Begins a read once the one before is done; returns how long the processor waits for it beyond one cycle. */
static uint64_t read_now(te_flash *flash, uint64_t now) {
    const uint64_t begin = flash->free_from > now ? flash->free_from : now;
    flash->free_from = begin + flash->wait_states + 1u;
    return flash->free_from - now - 1u;
}

static uint64_t fetch_word(te_flash *flash, uint32_t address, uint64_t now) {
    const uint32_t read = address / flash->read_bytes;
    uint64_t waits = 0;
    if (read == flash->current) {
        return 0;
    }
    if (!te_cache_look_up(&flash->instructions, address, false)) {
        if (flash->prefetch && read == flash->prefetched) {
            waits = flash->ready_from > now ? flash->ready_from - now : 0u;
        } else {
            waits = read_now(flash, now);
        }
        (void)te_cache_look_up(&flash->instructions, address, true);
    }
    flash->current = read;
    if (flash->prefetch && flash->prefetched != read + 1u &&
        !te_cache_look_up(&flash->instructions, (read + 1u) * flash->read_bytes, false)) {
        flash->prefetched = read + 1u;
        flash->ready_from = now + waits + read_now(flash, now + waits);
    }
    return waits;
}

uint64_t te_flash_fetch(te_flash *flash, uint32_t address, uint32_t bytes, bool jumped, uint64_t now) {
    uint64_t waits = 0;
    if (!within(flash, address)) {
        return 0;
    }
    for (uint32_t word = address / TE_WORD_BYTES; word <= (address + bytes - 1u) / TE_WORD_BYTES; word++) {
        if (jumped || word != flash->fetched) {
            flash->fetched = word;
            waits += fetch_word(flash, word * TE_WORD_BYTES, now + waits);
        }
    }
    return waits;
}

uint64_t te_flash_load(te_flash *flash, uint32_t address, uint32_t bytes, uint64_t now) {
    uint64_t waits = 0;
    if (!within(flash, address)) {
        return 0;
    }
    for (uint32_t read = address / flash->read_bytes; read <= (address + bytes - 1u) / flash->read_bytes; read++) {
        if (!te_cache_look_up(&flash->data, read * flash->read_bytes, true)) {
            waits += read_now(flash, now + waits);
        }
    }
    return waits;
}

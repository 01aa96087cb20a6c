/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_crc32.h
 *  The CRC-32 of IEEE 802.3, zlib and PNG. */
#ifndef TE_CRC32_H
#define TE_CRC32_H

#include <stdint.h>

/** CRC-32 of `size` bytes: reflected polynomial 0xEDB88320, start and final XOR 0xFFFFFFFF.
 *  @param data  May be NULL where size is 0.
 *  @return 0 for no bytes. */
uint32_t te_crc32(const void *data, uint32_t size);

/** CRC-32 of some bytes whose CRC-32 is `crc`, and of `size` bytes after them. */
uint32_t te_crc32_go_on(uint32_t crc, const void *data, uint32_t size);

#endif /* TE_CRC32_H */

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"

/* From int8 codes to 0 ... 255, in all bytes. */
#define SIGNS 0x80808080u

void te_table_s8_dsp(const te_table_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const uint8_t *table = (const uint8_t *)params->table;
    int32_t left = params->count;
    (void)scratch;
    for (; left >= 4; left -= 4) {
        const uint32_t codes = te_load4(input) ^ SIGNS;
        uint32_t values = table[codes & 0xffu];
        values |= (uint32_t)table[codes >> 8 & 0xffu] << 8;
        values |= (uint32_t)table[codes >> 16 & 0xffu] << 16;
        values |= (uint32_t)table[codes >> 24] << 24;
        te_store4(output, values);
        input += 4;
        output += 4;
    }
    for (; left > 0; --left) {
        *output++ = params->table[*input++ - INT8_MIN];
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_copy.h"
#include "te_kernels.h"

void te_gather_s16(const te_gather_params *params, const int16_t *input, int16_t *output, void *scratch) {
    const int32_t *rows = params->rows;
    const int32_t *columns = params->columns;
    const int32_t values = params->values;
    const int32_t row = params->out_w * values;
    (void)scratch;

    for (int32_t image = 0; image < params->images; ++image) {
        for (int32_t y = 0; y < params->out_h; ++y) {
            const int16_t *source = input + rows[y];
            if (y > 0 && rows[y] == rows[y - 1]) {
                te_copy(output, output - row, 2 * row);
                output += row;
            } else if (values == 1) {
                for (int32_t x = 0; x < params->out_w; ++x) {
                    *output++ = source[columns[x]];
                }
            } else {
                for (int32_t x = 0; x < params->out_w; ++x) {
                    te_copy(output, source + columns[x], 2 * values);
                    output += values;
                }
            }
        }
        input += params->image;
    }
}

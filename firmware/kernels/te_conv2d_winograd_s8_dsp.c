/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "te_dsp.h" /* Its patches are read by those instructions. */
#include "te_kernels.h"
#include "te_winograd_s8_dsp.h"

/** What all tiles share. */
typedef struct {
    const te_conv2d_winograd_dsp_params *params;
    int32_t steps; /**< Half the input's channels. */
    int32_t *sums;
    uint32_t *patches;
    int8_t *spare; /**< 4x4 pixels: a patch that reaches into the padding. */
} layer;

/** Gathers a patch of which some lies in the padding. */
static void gather_patch(const layer *of, const int8_t *input, int32_t origin_y, int32_t origin_x) {
    const te_window *const geometry = &of->params->window;
    const size_t pixel = (size_t)geometry->in_c;
    int8_t *to = of->spare;
    for (int32_t y = origin_y; y < origin_y + 4; ++y) {
        for (int32_t x = origin_x; x < origin_x + 4; ++x) {
            if (y >= 0 && y < geometry->in_h && x >= 0 && x < geometry->in_w) {
                memcpy(to, input + (y * geometry->in_w + x) * geometry->in_c, pixel);
            } else {
                memset(to, of->params->input_zero_point, pixel);
            }
            to += pixel;
        }
    }
}

static void load_patch(const layer *of, const int8_t *input, int32_t y, int32_t x, int32_t index) {
    const te_window *const geometry = &of->params->window;
    const int32_t row = geometry->in_w * geometry->in_c;
    te_winograd_patch patch = {of->spare, geometry->in_c, 4 * geometry->in_c, geometry->in_c / 4};
    if (y >= 0 && x >= 0 && y + 4 <= geometry->in_h && x + 4 <= geometry->in_w) {
        patch.pixels = input + y * row + x * geometry->in_c;
        patch.row_bytes = row;
    } else {
        gather_patch(of, input, y, x);
    }
    te_winograd_patch_dsp(&patch, of->patches + index);
}

/** All channels of the tiles whose patches are loaded. */
static void convolve_tiles(const layer *of, te_winograd_tile *tiles) {
    const te_conv2d_winograd_dsp_params *params = of->params;
    const uint32_t *stream = params->packed;
    for (int32_t channel = 0; channel < params->out_c; channel += TE_WINOGRAD_CHANNELS) {
        te_winograd_sums_dsp(stream, of->patches, of->sums, of->steps);
        stream += TE_WINOGRAD_POSITIONS * TE_WINOGRAD_CHANNELS * of->steps;
        te_winograd_outputs_dsp(of->sums, stream, tiles);
        stream += TE_WINOGRAD_CHANNELS * TE_WINOGRAD_CHANNEL_WORDS;
    }
}

static void convolve(const layer *of, const int8_t *input, int8_t *output) {
    const te_conv2d_winograd_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    te_winograd_tile tiles[TE_WINOGRAD_TILES];
    int32_t count = 0;
    for (int32_t y = 0; y < geometry->out_h; y += 2) {
        for (int32_t x = 0; x < geometry->out_w; x += 2) {
            load_patch(of, input, y - geometry->pad_top, x - geometry->pad_left, count);
            tiles[count].output = output + (y * geometry->out_w + x) * params->out_c;
            tiles[count].right = x + 1 < geometry->out_w ? params->out_c : 0;
            tiles[count].below = y + 1 < geometry->out_h ? geometry->out_w * params->out_c : 0;
            if (++count == TE_WINOGRAD_TILES) {
                convolve_tiles(of, tiles);
                count = 0;
            }
        }
    }
    if (count > 0) {
        for (int32_t i = count; i < TE_WINOGRAD_TILES; ++i) {
            tiles[i] = tiles[0];
        }
        convolve_tiles(of, tiles);
    }
}

void te_conv2d_winograd_s8_dsp(const te_conv2d_winograd_dsp_params *params, const int8_t *input, int8_t *output,
                               void *scratch) {
    const te_window *const geometry = &params->window;
    layer of;
    of.params = params;
    of.steps = geometry->in_c / 2;
    of.sums = scratch;
    of.patches = (uint32_t *)(of.sums + TE_WINOGRAD_SUMS);
    of.spare = (int8_t *)(of.patches + TE_WINOGRAD_POSITIONS * TE_WINOGRAD_TILES * of.steps);
    /* Those of tiles that are not needed. */
    memset(of.patches, 0, (size_t)(TE_WINOGRAD_POSITIONS * TE_WINOGRAD_TILES * of.steps) * sizeof *of.patches);
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        convolve(&of, input, output);
        input += geometry->in_h * geometry->in_w * geometry->in_c;
        output += geometry->out_h * geometry->out_w * params->out_c;
    }
}

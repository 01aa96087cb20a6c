/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_winograd_wasm.h"

/** What all tiles share. */
typedef struct {
    const te_conv2d_winograd_wasm_params *params;
    int32_t across;  /**< Tiles of a row of them. */
    te_vector *sums; /**< (TE_WINOGRAD_POSITIONS, TE_WINOGRAD_TILES, 2) */
    int16_t *patches; /**< (TE_WINOGRAD_POSITIONS, TE_WINOGRAD_TILES, in_c) */
    int8_t *padding; /**< A pixel of it. */
} layer;

/** Transforms the patch of a tile. */
static void load_patch(const layer *of, const int8_t *input, int32_t origin_y, int32_t origin_x, int16_t *to) {
    const te_window *const window = &of->params->window;
    const int8_t *pixels[TE_WINOGRAD_POSITIONS];
    int32_t at = 0;
    for (int32_t y = origin_y; y < origin_y + 4; ++y) {
        for (int32_t x = origin_x; x < origin_x + 4; ++x, ++at) {
            const int32_t inside = y >= 0 && y < window->in_h && x >= 0 && x < window->in_w;
            pixels[at] = inside ? input + (y * window->in_w + x) * window->in_c : of->padding;
        }
    }
    for (int32_t channel = 0; channel < window->in_c; channel += 8) {
        te_winograd_patch_wasm(pixels, channel, to + channel, TE_WINOGRAD_TILES * window->in_c);
    }
}

/** All channels of the tiles whose patches are loaded. */
static void convolve_tiles(const layer *of, const te_winograd_tile *tiles) {
    const te_conv2d_winograd_wasm_params *const params = of->params;
    const int16_t *packed = params->packed;
    const int32_t *constants = params->constants;
    const te_vector low = te_splat16(params->output_min), high = te_splat16(params->output_max);
    for (int32_t channel = 0; channel < params->out_c; channel += 8) {
        packed = te_winograd_sums_wasm(of->patches, packed, constants, params->window.in_c, of->sums);
        for (int32_t tile = 0; tile < TE_WINOGRAD_TILES; ++tile) {
            const te_winograd_tile to = tiles[tile];
            te_vector first[4], last[4];
            te_winograd_outputs_wasm(of->sums + 2 * tile, first);
            te_winograd_outputs_wasm(of->sums + 2 * tile + 1, last);
            /* Those that are not there first: over them lie the ones that are. */
            for (int32_t at = 3; at >= 0; --at) {
                int8_t *const output = to.output + channel + (at / 2) * to.below + (at % 2) * to.right;
                te_store_limited(output, te_requantise_four(first[at], constants, params->shift),
                                 te_requantise_four(last[at], constants + TE_WASM_CONSTANTS, params->shift), low, high,
                                 8);
            }
        }
        constants += 2 * TE_WASM_CONSTANTS;
    }
}

static void convolve(const layer *of, const int8_t *input, int8_t *output) {
    const te_conv2d_winograd_wasm_params *const params = of->params;
    const te_window *const window = &params->window;
    const int32_t count = (window->out_h + 1) / 2 * of->across;
    te_winograd_tile tiles[TE_WINOGRAD_TILES];
    for (int32_t first = 0; first < count; first += TE_WINOGRAD_TILES) {
        for (int32_t tile = 0; tile < TE_WINOGRAD_TILES; ++tile) {
            /* The last tile some times where no more are left. */
            const int32_t index = first + tile < count ? first + tile : count - 1;
            const int32_t y = 2 * (index / of->across), x = 2 * (index % of->across);
            load_patch(of, input, y - window->pad_top, x - window->pad_left, of->patches + tile * window->in_c);
            tiles[tile].output = output + (y * window->out_w + x) * params->out_c;
            tiles[tile].right = x + 1 < window->out_w ? params->out_c : 0;
            tiles[tile].below = y + 1 < window->out_h ? window->out_w * params->out_c : 0;
        }
        convolve_tiles(of, tiles);
    }
}

void te_conv2d_winograd_s8_wasm(const te_conv2d_winograd_wasm_params *params, const int8_t *input, int8_t *output,
                                void *scratch) {
    const te_window *const window = &params->window;
    layer of;
    of.params = params;
    of.across = (window->out_w + 1) / 2;
    of.sums = scratch;
    of.patches = (int16_t *)(void *)(of.sums + TE_WINOGRAD_SUMS);
    of.padding = (int8_t *)(of.patches + TE_WINOGRAD_POSITIONS * TE_WINOGRAD_TILES * window->in_c);
    memset(of.padding, params->input_zero_point, (size_t)window->in_c);
    for (int32_t batch = 0; batch < window->batches; ++batch) {
        convolve(&of, input, output);
        input += window->in_h * window->in_w * window->in_c;
        output += window->out_h * window->out_w * params->out_c;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "te_columns_dsp.h"
#include "te_gemm_s16_dsp.h"
#include "te_kernels.h"
#include "te_pixels_dsp.h"

/** What all pixels of a layer share. */
typedef struct {
    const te_conv2d_narrow_s16_dsp_params *params;
    const int16_t *input; /**< The group's first channel of the image. */
    int32_t row;          /**< Values from an input row to the next. */
    int32_t steps;        /**< Two values each, of a window. */
    int32_t has_runs;     /**< Whether a row of a window is a run of pairs of values. */
    int16_t *spare;       /**< One tap of zeros, or the gathered windows of all pixels where a tap is no pairs. */
} layer;

/** A tap of a window, or NULL where it is padding. */
static const int16_t *tap_of(const layer *of, const te_pixels *at, int32_t i, int32_t tap_y, int32_t tap_x) {
    const te_window *const geometry = &of->params->window;
    const int32_t y = at->origin_y[i] + tap_y * geometry->dilation_h;
    const int32_t x = at->origin_x[i] + tap_x * geometry->dilation_w;
    /* Below 0 is above all as an unsigned number. */
    const int32_t inside = (uint32_t)y < (uint32_t)geometry->in_h && (uint32_t)x < (uint32_t)geometry->in_w;
    return inside ? of->input + y * of->row + x * geometry->in_c : NULL;
}

static void copy_windows(int32_t count, const te_window_shape *shape, const int16_t *const *windows,
                         uint32_t *columns) {
    if (count == TE_GEMM_PIXELS) {
        te_columns4_dsp(shape, windows, columns);
    } else {
        te_columns1_dsp(shape, windows[0], columns);
    }
}

/** Neighbouring windows within the input: their rows are copied from where they lie.
 *  @param window  The first one. */
static void copy_rows(const layer *of, int32_t count, const int16_t *window, uint32_t *columns) {
    const te_window *const geometry = &of->params->window;
    const int32_t values = geometry->kernel_w * geometry->in_c;
    const int32_t step = geometry->stride_w * geometry->in_c;
    const te_window_shape shape = {values / 2, geometry->kernel_h, 2 * (geometry->dilation_h * of->row - values)};
    const int16_t *const windows[TE_GEMM_PIXELS] = {window, window + step, window + 2 * step, window + 3 * step};
    copy_windows(count, &shape, windows, columns);
}

/** Channels in pairs, windows anywhere: tap after tap, or zeros in the place of padding. */
static void copy_taps(const layer *of, const te_pixels *at, uint32_t *columns) {
    const te_window *const geometry = &of->params->window;
    const te_window_shape tap = {of->params->group_c / 2, 1, 0};
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        for (int32_t tap_x = 0; tap_x < geometry->kernel_w; ++tap_x) {
            const int16_t *windows[TE_GEMM_PIXELS];
            int32_t i = 0;
            do { /* There is a pixel. */
                const int16_t *found = tap_of(of, at, i, tap_y, tap_x);
                windows[i] = found != NULL ? found : of->spare;
            } while (++i < at->count);
            copy_windows(at->count, &tap, windows, columns);
            columns += at->count * tap.pairs;
        }
    }
}

/** Any number of channels: the windows are gathered first. */
static void gather(const layer *of, const te_pixels *at, uint32_t *columns) {
    const te_window *const geometry = &of->params->window;
    const te_window_shape whole = {of->steps, 1, 0};
    const size_t tap_bytes = (size_t)of->params->group_c * sizeof *of->spare;
    const int16_t *windows[TE_GEMM_PIXELS];
    for (int32_t i = 0; i < at->count; ++i) {
        int16_t *window = of->spare + 2 * i * of->steps;
        windows[i] = window;
        for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
            for (int32_t tap_x = 0; tap_x < geometry->kernel_w; ++tap_x) {
                const int16_t *found = tap_of(of, at, i, tap_y, tap_x);
                if (found != NULL) {
                    memcpy(window, found, tap_bytes);
                } else {
                    memset(window, 0, tap_bytes);
                }
                window += of->params->group_c;
            }
        }
    }
    copy_windows(at->count, &whole, windows, columns);
}

static void convolve_group(const layer *of, const te_gemm_s16_dsp *gemm, int16_t *output, uint32_t *columns) {
    const te_window *const geometry = &of->params->window;
    const int32_t total = geometry->out_h * geometry->out_w;
    const int32_t last_y = geometry->in_h - 1 - (geometry->kernel_h - 1) * geometry->dilation_h;
    te_pixels at;
    int32_t out_y = 0;
    int32_t out_x = 0;
    for (int32_t pixel = 0; pixel < total; pixel += at.count) {
        const int32_t y = out_y * geometry->stride_h - geometry->pad_top;
        const int32_t x = out_x * geometry->stride_w - geometry->pad_left;
        at.count = total - pixel >= TE_GEMM_PIXELS ? TE_GEMM_PIXELS : 1;
        const int32_t last_x = geometry->in_w - geometry->kernel_w - (at.count - 1) * geometry->stride_w;
        if (of->has_runs && out_x + at.count <= geometry->out_w && y >= 0 && y <= last_y && x >= 0 && x <= last_x) {
            copy_rows(of, at.count, of->input + y * of->row + x * geometry->in_c, columns);
        } else {
            te_place_pixels(&at, geometry, out_y, out_x);
            (of->params->group_c % 2 == 0 ? copy_taps : gather)(of, &at, columns);
        }
        if (at.count == TE_GEMM_PIXELS) {
            te_gemm4_s16_dsp(gemm, columns, output);
        } else {
            te_gemm1_s16_dsp(gemm, (const int16_t *)columns, output);
        }
        output += at.count * of->params->out_c;
        out_x += at.count;
        while (out_x >= geometry->out_w) {
            out_x -= geometry->out_w;
            ++out_y;
        }
    }
}

void te_conv2d_narrow_s16_dsp(const te_conv2d_narrow_s16_dsp_params *params, const int16_t *input, int16_t *output,
                              void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t groups = geometry->in_c / params->group_c;
    const int32_t filters = params->out_c / groups;
    const int32_t steps = (geometry->kernel_h * geometry->kernel_w * params->group_c + 1) / 2;
    const int32_t total = geometry->out_h * geometry->out_w;
    const int32_t at_once = total >= TE_GEMM_PIXELS ? TE_GEMM_PIXELS : 1;
    const int32_t full_range = params->output_min == INT16_MIN && params->output_max == INT16_MAX;
    const int32_t has_runs =
        geometry->dilation_w == 1 && groups == 1 && geometry->kernel_w * params->group_c % 2 == 0;
    uint32_t *columns = scratch;
    te_gemm_s16_dsp gemm = {params->packed,
                            steps,
                            filters,
                            2 * params->out_c,
                            te_pack(params->output_min, params->output_min),
                            te_pack(params->output_max, params->output_max),
                            full_range};
    layer of = {params, input, geometry->in_w * geometry->in_c, steps, has_runs, (int16_t *)(columns + steps * at_once)};
    memset(of.spare, 0, params->group_c % 2 == 0 ? 2 * (size_t)params->group_c : 4 * (size_t)(steps * at_once));
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        gemm.packed = params->packed;
        for (int32_t group = 0; group < groups; ++group) {
            of.input = input + group * params->group_c;
            convolve_group(&of, &gemm, output + group * filters, columns);
            gemm.packed += params->group_words;
        }
        input += geometry->in_h * of.row;
        output += total * params->out_c;
    }
}

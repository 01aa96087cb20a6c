/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_wasm.h"
#include "te_kernels.h"
#include "te_widen_wasm.h"

/** The rows of the input that lie under the window, widened, each in the place of the one that is no more needed. */
typedef struct {
    const te_window *window;
    int16_t *values;
    int32_t line;  /**< Values of a row, padding included. */
    int32_t rows;  /**< From the first row under the window to the last. */
    int32_t next;  /**< The first row that was not loaded, counted from the padding above the image. */
    int32_t zero_point;
} te_rows;

static int16_t *row_at(const te_rows *rows, int32_t y) {
    return rows->values + y % rows->rows * rows->line;
}

static void load_rows(te_rows *rows, const int8_t *image, int32_t first) {
    const te_window *const window = rows->window;
    const int32_t width = window->in_w * window->in_c;
    for (int32_t y = rows->next > first ? rows->next : first; y < first + rows->rows; ++y) {
        int16_t *row = row_at(rows, y);
        const int32_t in_y = y - window->pad_top;
        if (in_y < 0 || in_y >= window->in_h) {
            te_fill_wasm(row, rows->zero_point, rows->line);
        } else {
            const int32_t before = window->pad_left * window->in_c;
            const int32_t inside = rows->line - before < width ? rows->line - before : width;
            te_fill_wasm(row, rows->zero_point, before);
            te_widen_wasm(row + before, image + in_y * width, inside);
            te_fill_wasm(row + before + inside, rows->zero_point, rows->line - before - inside);
        }
    }
    rows->next = first + rows->rows;
}

void te_conv2d_s8_wasm(const te_conv2d_wasm_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const te_window *const window = &params->window;
    const int32_t groups = window->in_c / params->group_c;
    const int32_t filters = params->out_c / groups;
    /* Without dilation and groups, the taps of a kernel row lie beside each other. */
    const int32_t in_rows = window->dilation_w == 1 && groups == 1;
    const int32_t taps = in_rows ? 1 : window->kernel_w;
    const int32_t run = in_rows ? window->kernel_w * window->in_c : params->group_c;
    const int16_t **starts = scratch;
    const int32_t runs = window->kernel_h * taps;
    te_gemm_wasm layer;
    te_rows rows;

    rows.window = window;
    rows.values = (int16_t *)(void *)(starts + runs);
    rows.line = params->line;
    rows.rows = (window->kernel_h - 1) * window->dilation_h + 1;
    rows.zero_point = params->input_zero_point;
    layer.channels = filters;
    layer.output_step = params->out_c;
    layer.input_step = window->stride_w * window->in_c;
    layer.runs = runs;
    layer.run_pairs = (run + 1) / 2;
    layer.shift = params->shift;
    layer.output_min = params->output_min;
    layer.output_max = params->output_max;
    /* The value beside the last one of an odd run at the very end. */
    rows.values[rows.rows * rows.line] = 0;

    for (int32_t batch = 0; batch < window->batches; ++batch) {
        rows.next = 0;
        for (int32_t out_y = 0; out_y < window->out_h; ++out_y) {
            load_rows(&rows, input, out_y * window->stride_h);
            int32_t x = 0;
            while (x < window->out_w) {
                const int32_t left = window->out_w - x;
                if (left < TE_WASM_PIXELS && window->out_w >= TE_WASM_PIXELS) {
                    x = window->out_w - TE_WASM_PIXELS; /* Some again: their rows are still there. */
                }
                const int32_t four = window->out_w >= TE_WASM_PIXELS;
                layer.packed = params->packed;
                layer.constants = params->constants;
                for (int32_t group = 0; group < groups; ++group) {
                    int8_t *to = output + x * params->out_c + group * filters;
                    for (int32_t at = 0; at < runs; ++at) {
                        const int16_t *row = row_at(&rows, out_y * window->stride_h + at / taps * window->dilation_h);
                        starts[at] = row + (x * window->stride_w + at % taps * window->dilation_w) * window->in_c +
                                     group * params->group_c;
                    }
                    if (four) {
                        te_gemm_wasm_pixels(&layer, starts, to, TE_WASM_PIXELS);
                    } else {
                        te_gemm_wasm_pixels(&layer, starts, to, 1);
                    }
                    layer.packed += params->group_bytes;
                    layer.constants += (filters + 3) / 4 * TE_WASM_CONSTANTS;
                }
                x += four ? TE_WASM_PIXELS : 1;
            }
            output += window->out_w * params->out_c;
        }
        input += window->in_h * window->in_w * window->in_c;
    }
}

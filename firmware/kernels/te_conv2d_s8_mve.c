/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dot.h"
#include "te_gemm_s8_mve.h"
#include "te_kernels.h"

/** What all pixels of a layer share. */
typedef struct {
    const te_conv2d_mve_params *params;
    const int8_t *input; /**< The group's first channel of the image. */
    int32_t row;         /**< Bytes from an input row to the next. */
} layer;

/** Copies `rows` runs, `from_row` bytes apart, to one after the other.
 *  @param rounds  Of 48 bytes, if that is what the run is made of; else 0. */
static inline void copy_runs(int8_t *to, const int8_t *from, int32_t run, int32_t rounds, int32_t from_row,
                             int32_t rows) {
#if TE_MVE_ASSEMBLY
    if (run <= 16) {
        __asm__ volatile("vctp.8 %2\n\t"
                         "dls lr, %4\n"
                         "1:\n\t"
                         "vpstt\n\t"
                         "vldrbt.8 q0, [%1]\n\t"
                         "vstrbt.8 q0, [%0]\n\t"
                         "add %1, %1, %3\n\t"
                         "add %0, %0, %2\n\t"
                         "le lr, 1b"
                         : "+r"(to), "+r"(from)
                         : "r"(run), "r"(from_row), "r"(rows)
                         : "lr", "q0", TE_PREDICATE_CLOBBER "memory");
    } else if (rounds > 0) { /* Three taps of whole vectors. */
        const int32_t gap = from_row - run;
        __asm__ volatile("1:\n\t"
                         "dls lr, %3\n"
                         "2:\n\t"
                         "vldrb.8 q0, [%1], #16\n\t"
                         "vldrb.8 q1, [%1], #16\n\t"
                         "vldrb.8 q2, [%1], #16\n\t"
                         "vstrb.8 q0, [%0], #16\n\t"
                         "vstrb.8 q1, [%0], #16\n\t"
                         "vstrb.8 q2, [%0], #16\n\t"
                         "le lr, 2b\n\t"
                         "add %1, %1, %4\n\t"
                         "subs %2, %2, #1\n\t"
                         "bne 1b"
                         : "+r"(to), "+r"(from), "+r"(rows)
                         : "r"(rounds), "r"(gap)
                         : "lr", "q0", "q1", "q2", "cc", "memory");
    } else
#else
    (void)rounds;
#endif
        for (; rows > 0; --rows) {
            te_copy_mve(to, from, run);
            to += run;
            from += from_row;
        }
}

/** Taps along x one after the other in memory: whole runs of the input. */
static void gather_runs(const layer *of, int32_t origin_y, int32_t origin_x, int8_t *column) {
    const te_conv2d_mve_params *params = of->params;
    const te_window *const geometry = &params->window;
    const te_taps taps = te_taps_inside(origin_x, geometry->in_w, geometry->kernel_w, 1);
    const int32_t run = geometry->kernel_w * geometry->in_c;
    const int32_t before = taps.begin * geometry->in_c;
    const int32_t inside = taps.end > taps.begin ? (taps.end - taps.begin) * geometry->in_c : 0;
    const int32_t after = run - before - inside;
    const int8_t *from = of->input + origin_y * of->row + origin_x * geometry->in_c + before;
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        const int32_t y = origin_y + tap_y * geometry->dilation_h;
        if (y < 0 || y >= geometry->in_h) {
            te_fill_mve(column, params->input_zero_point, run);
        } else if (inside == run) {
            te_copy_mve(column, from, run);
        } else {
            te_fill_mve(column, params->input_zero_point, before);
            te_copy_mve(column + before, from, inside);
            te_fill_mve(column + before + inside, params->input_zero_point, after);
        }
        column += run;
        from += geometry->dilation_h * of->row;
    }
}

/** Any dilation and groups: tap by tap. */
static void gather_taps(const layer *of, int32_t origin_y, int32_t origin_x, int8_t *column) {
    const te_conv2d_mve_params *params = of->params;
    const te_window *const geometry = &params->window;
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        const int32_t y = origin_y + tap_y * geometry->dilation_h;
        for (int32_t tap_x = 0; tap_x < geometry->kernel_w; ++tap_x) {
            const int32_t x = origin_x + tap_x * geometry->dilation_w;
            if (y < 0 || y >= geometry->in_h || x < 0 || x >= geometry->in_w) {
                te_fill_mve(column, params->input_zero_point, params->group_c);
            } else {
                te_copy_mve(column, of->input + y * of->row + x * geometry->in_c, params->group_c);
            }
            column += params->group_c;
        }
    }
}

static void convolve_group(const layer *of, const te_gemm_s8_mve *gemm, int8_t *output, int8_t *columns) {
    const te_conv2d_mve_params *params = of->params;
    const te_window *const geometry = &params->window;
    const int32_t read = TE_MVE_CHUNK * gemm->chunks;
    const int32_t runs = geometry->dilation_w == 1 && params->group_c == geometry->in_c;
    const int32_t run = geometry->kernel_w * geometry->in_c;
    const int32_t run_row = geometry->dilation_h * of->row;
    const int32_t run_rounds = run % 48 == 0 ? run / 48 : 0;
    const int32_t last_x = geometry->in_w - geometry->kernel_w;
    /* A window of one pixel of whole chunks is read where it lies; the pixels of a pair then have to be in one row, for
     * the output may follow the input's rows in its memory. */
    const int32_t direct = geometry->kernel_h == 1 && geometry->kernel_w == 1 && read == params->group_c &&
                           geometry->out_w % 2 == 0 && geometry->pad_top == 0 && geometry->pad_left == 0 &&
                           (geometry->out_h - 1) * geometry->stride_h < geometry->in_h &&
                           (geometry->out_w - 1) * geometry->stride_w < geometry->in_w;
    te_gemm2_function *const multiply = te_gemm2_for(gemm);
    int32_t waiting = 0;
    const int8_t *pixels[2] = {columns, columns + read};
    for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
        const int32_t origin_y = out_y * geometry->stride_h - geometry->pad_top;
        const int32_t whole_runs =
            runs && origin_y >= 0 && origin_y + (geometry->kernel_h - 1) * geometry->dilation_h < geometry->in_h;
        const int8_t *row = of->input + origin_y * of->row;
        int32_t origin_x = -geometry->pad_left;
        for (int32_t out_x = 0; out_x < geometry->out_w; ++out_x) {
            int8_t *column = columns + waiting * read;
            if (direct) {
                pixels[waiting] = row + origin_x * geometry->in_c;
            } else if (whole_runs && origin_x >= 0 && origin_x <= last_x) {
                copy_runs(column, row + origin_x * geometry->in_c, run, run_rounds, run_row,
                          geometry->kernel_h);
            } else {
                (runs ? gather_runs : gather_taps)(of, origin_y, origin_x, column);
            }
            origin_x += geometry->stride_w;
            if (++waiting == 2) {
                multiply(gemm, pixels[0], pixels[1], output);
                output += 2 * params->out_c;
                waiting = 0;
            }
        }
    }
    if (waiting == 1) {
        te_gemm1_s8_mve(gemm, pixels[0], output);
    }
}

void te_conv2d_s8_mve(const te_conv2d_mve_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t groups = geometry->in_c / params->group_c;
    const int32_t filters = params->out_c / groups;
    const int32_t depth = geometry->kernel_h * geometry->kernel_w * params->group_c;
    te_gemm_s8_mve gemm = {params->packed, (depth + TE_MVE_CHUNK - 1) / TE_MVE_CHUNK, filters, params->out_c,
                           params->output_min, params->output_max, 0, 0};
    layer of = {params, input, geometry->in_w * geometry->in_c};
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        gemm.packed = params->packed;
        for (int32_t group = 0; group < groups; ++group) {
            of.input = input + group * params->group_c;
            convolve_group(&of, &gemm, output + group * filters, scratch);
            gemm.packed += params->group_words;
        }
        input += geometry->in_h * of.row;
        output += geometry->out_h * geometry->out_w * params->out_c;
    }
}

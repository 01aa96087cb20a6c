/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_convolve_mve.h
 *  The walk over windows that the convolutions of int8 and of int16 values share, for processors with MVE: each window is
 *  copied to a column of bytes, or read where it lies, and two of them go through the filters at once. */
#ifndef TE_CONVOLVE_MVE_H
#define TE_CONVOLVE_MVE_H

#include "te_dot.h"
#include "te_gemm_mve.h"
#include "te_kernels.h"

/** How the outputs of a convolution are made. */
typedef struct {
    te_gemm1_function *one; /**< Of one window. */
    te_gemm2_function *two; /**< Of two windows. */
    int32_t value_bytes;    /**< Of an input or output value. */
} te_convolve_mve_products;

/** What all windows of a group share, in bytes. */
typedef struct {
    const te_window *window;
    const int8_t *input; /**< The group's first channel of the image. */
    int32_t pixel;       /**< From an input pixel to the next. */
    int32_t row;         /**< From an input row to the next. */
    int32_t tap;         /**< Of the group's channels of a pixel. */
    int32_t padding;
} te_convolve_mve_group;

/** Copies `rows` runs, `from_row` bytes apart, to one after the other.
 *  @param rounds  Of 48 bytes, if that is what the run is made of; else 0. */
static inline void te_copy_runs_mve(int8_t *to, const int8_t *from, int32_t run, int32_t rounds,
                                    int32_t from_row, int32_t rows) {
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
static inline void te_gather_runs_mve(const te_convolve_mve_group *of, int32_t origin_y, int32_t origin_x, int8_t *column) {
    const te_window *const geometry = of->window;
    const te_taps taps = te_taps_inside(origin_x, geometry->in_w, geometry->kernel_w, 1);
    const int32_t run = geometry->kernel_w * of->pixel;
    const int32_t before = taps.begin * of->pixel;
    const int32_t inside = taps.end > taps.begin ? (taps.end - taps.begin) * of->pixel : 0;
    const int32_t after = run - before - inside;
    const int8_t *from = of->input + origin_y * of->row + origin_x * of->pixel + before;
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        const int32_t y = origin_y + tap_y * geometry->dilation_h;
        if (y < 0 || y >= geometry->in_h) {
            te_fill_mve(column, of->padding, run);
        } else if (inside == run) {
            te_copy_mve(column, from, run);
        } else {
            te_fill_mve(column, of->padding, before);
            te_copy_mve(column + before, from, inside);
            te_fill_mve(column + before + inside, of->padding, after);
        }
        column += run;
        from += geometry->dilation_h * of->row;
    }
}

/** Any dilation and groups: tap by tap. */
static inline void te_gather_taps_mve(const te_convolve_mve_group *of, int32_t origin_y, int32_t origin_x, int8_t *column) {
    const te_window *const geometry = of->window;
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        const int32_t y = origin_y + tap_y * geometry->dilation_h;
        for (int32_t tap_x = 0; tap_x < geometry->kernel_w; ++tap_x) {
            const int32_t x = origin_x + tap_x * geometry->dilation_w;
            if (y < 0 || y >= geometry->in_h || x < 0 || x >= geometry->in_w) {
                te_fill_mve(column, of->padding, of->tap);
            } else {
                te_copy_mve(column, of->input + y * of->row + x * of->pixel, of->tap);
            }
            column += of->tap;
        }
    }
}

static inline void te_convolve_windows_mve(const te_convolve_mve_group *of, const te_convolve_mve_products products,
                                           const te_gemm_mve *gemm, int8_t *output, int8_t *columns) {
    const te_window *const geometry = of->window;
    const int32_t pixel = of->pixel;
    const int32_t read = TE_MVE_CHUNK_BYTES * gemm->chunks;
    const int32_t runs = geometry->dilation_w == 1 && of->tap == pixel;
    const int32_t run = geometry->kernel_w * pixel;
    const int32_t run_row = geometry->dilation_h * of->row;
    const int32_t run_rounds = run % 48 == 0 ? run / 48 : 0;
    const int32_t last_x = geometry->in_w - geometry->kernel_w;
    /* A window of one pixel of whole chunks is read where it lies; the pixels of a pair then have to be in one row, for
     * the output may follow the input's rows in its memory. */
    const int32_t direct = geometry->kernel_h == 1 && geometry->kernel_w == 1 && read == of->tap &&
                           geometry->out_w % 2 == 0 && geometry->pad_top == 0 && geometry->pad_left == 0 &&
                           (geometry->out_h - 1) * geometry->stride_h < geometry->in_h &&
                           (geometry->out_w - 1) * geometry->stride_w < geometry->in_w;
    te_gemm2_function *const multiply = products.two;
    int32_t waiting = 0;
    int8_t *const gathered[2] = {columns, columns + read};
    const int8_t *pixels[2] = {gathered[0], gathered[1]};
    for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
        const int32_t origin_y = out_y * geometry->stride_h - geometry->pad_top;
        const int32_t whole_runs =
            runs && origin_y >= 0 && origin_y + (geometry->kernel_h - 1) * geometry->dilation_h < geometry->in_h;
        const int8_t *row = of->input + origin_y * of->row;
        int32_t origin_x = -geometry->pad_left;
        for (int32_t out_x = 0; out_x < geometry->out_w; ++out_x) {
            int8_t *column = gathered[waiting];
            if (direct) {
                pixels[waiting] = row + origin_x * pixel;
            } else if (whole_runs && origin_x >= 0 && origin_x <= last_x) {
                te_copy_runs_mve(column, row + origin_x * pixel, run, run_rounds, run_row, geometry->kernel_h);
            } else {
                (runs ? te_gather_runs_mve : te_gather_taps_mve)(of, origin_y, origin_x, column);
            }
            origin_x += geometry->stride_w;
            if (++waiting == 2) {
                multiply(gemm, pixels[0], pixels[1], output);
                output += 2 * gemm->out_stride;
                waiting = 0;
            }
        }
    }
    if (waiting == 1) {
        products.one(gemm, pixels[0], output);
    }
}

/** Convolves a batch of images.
 *  @param columns  2 * (value_bytes * kernel_h * kernel_w * group_c rounded up to sixteens) bytes. */
static inline void te_convolve_mve(const te_conv2d_mve_params *params, const te_convolve_mve_products products,
                                   const void *input, void *output, void *columns) {
    const te_window *const geometry = &params->window;
    const int32_t value_bytes = products.value_bytes;
    const int32_t groups = geometry->in_c / params->group_c;
    const int32_t filters = params->out_c / groups;
    const int32_t pixel = geometry->in_c * value_bytes;
    const int32_t tap = params->group_c * value_bytes;
    const int32_t out_pixel = params->out_c * value_bytes;
    const int32_t depth = geometry->kernel_h * geometry->kernel_w * tap;
    const int32_t chunks = (depth + TE_MVE_CHUNK_BYTES - 1) / TE_MVE_CHUNK_BYTES;
    te_gemm_mve gemm = {params->packed, chunks, filters, out_pixel, params->output_min, params->output_max, 0, 0};
    te_convolve_mve_group of = {geometry, input, pixel, geometry->in_w * pixel, tap, params->input_zero_point};
    int8_t *out = output;
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        const int8_t *const image = of.input;
        gemm.packed = params->packed;
        for (int32_t i = 0; i < groups; ++i) {
            te_convolve_windows_mve(&of, products, &gemm, out + i * filters * value_bytes, columns);
            of.input += tap;
            gemm.packed += params->group_words;
        }
        of.input = image + geometry->in_h * of.row;
        out += geometry->out_h * geometry->out_w * out_pixel;
    }
}

#endif /* TE_CONVOLVE_MVE_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_kernels.h
 *  The kernels: one function and one struct of constants an operator.
 *
 *  Every kernel is called as `kernel(&params, inputs..., output, scratch)`. Tensors are dense, row-major with the
 *  channel last (NHWC for images). Everything that is known at compile time is in the params, which the compiler
 *  prints as `static const` data; the kernels keep no state. Inputs, output and scratch do not overlap unless a kernel
 *  says that they may. `scratch` is NULL for kernels that document no use of it.
 *
 *  A kernel "in rows" writes its output row after row. While it writes row y of an image, it may still read, in any
 *  order, the input rows that row y or a later one needs, and no others; so its output may begin far enough below its
 *  input to run over it. A kernel "in pixels" reads at most four pixels and writes these four before it reads the next.
 *  Both hold for a batch of 1 (tinyedge/ops/overlap.py computes how far is enough).
 *
 *  The activations of an `_s8` kernel are int8_t: zero points are in [-128, 127] and
 *  -128 <= output_min <= output_max <= 127. Those of an `_s16` kernel are int16_t, without zero points:
 *  -32768 <= output_min <= output_max <= 32767. Weights are int8_t in both. A requantisation multiplier is a pair of a
 *  `multiplier` in [0, 2^31) and a `shift` in [-31, 31], applied as te_requantise.h says; where an _s16 kernel has
 *  accumulators of 64 bits, the `multiplier` is in [0, 2^15), the `shift` in [-31, 7], and every sum, bias included, below
 *  2^47 in magnitude. */
#ifndef TE_KERNELS_H
#define TE_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where a kernel window falls on an image. Positions outside the image count as the real 0. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t pad_top;
    int32_t pad_left;
} te_window;

/** Convolution with zero padding in the real domain, optionally in groups. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t group_c; /**< Input channels that one filter sees; divides in_c, and in_c / group_c divides out_c. */
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;      /**< (out_c, kernel_h, kernel_w, group_c), symmetric; a filter has at most 65,535. */
    const int32_t *bias;        /**< (out_c) or NULL. */
    const int32_t *multipliers; /**< (out_c) */
    const int8_t *shifts;       /**< (out_c) */
} te_conv2d_params;

/** @param input   (batches, in_h, in_w, in_c)
 *  @param output  (batches, out_h, out_w, out_c), in rows; by 1x1 filters without stride and padding in pixels. */
void te_conv2d_s8(const te_conv2d_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Convolution of int16 values. FULLY_CONNECTED is one of 1x1 filters over an image of one row. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t group_c; /**< Input channels that one filter sees; divides in_c, and in_c / group_c divides out_c. */
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;      /**< (out_c, kernel_h, kernel_w, group_c), symmetric. */
    const int64_t *bias;        /**< (out_c) or NULL. */
    const int32_t *multipliers; /**< (out_c) */
    const int8_t *shifts;       /**< (out_c) */
} te_conv2d_s16_params;

/** With accumulators of 64 bits.
 *  @param input   (batches, in_h, in_w, in_c)
 *  @param output  (batches, out_h, out_w, out_c), in rows; by 1x1 filters without stride and padding in pixels. */
void te_conv2d_s16(const te_conv2d_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_conv2d_s8() with weights of 4 bits, -8 to 7: two a byte, the first in the lower half. */
void te_conv2d_s4(const te_conv2d_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Transposed convolution; without dilation, and group_c is in_c.
 *
 *  The weights are those of stride_h * stride_w convolutions of stride 1, one for each pair of residues of an output
 *  position modulo the strides, rows first: (out_c, taps, taps, in_c), of the kernel's taps of these residues from the
 *  last to the first.
 *  @param input   (batches, in_h, in_w, in_c)
 *  @param output  (batches, out_h, out_w, out_c), in rows. */
void te_transpose_conv_s8(const te_conv2d_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_transpose_conv_s8() of int16 values, with accumulators of 64 bits. */
void te_transpose_conv_s16(const te_conv2d_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** Transposed convolution for processors with the DSP extension, by te_gemm_s8_dsp.h. */
typedef struct {
    te_window window; /**< Without dilation. */
    int32_t out_c;
    int32_t words; /**< The largest depth of a pair of residues, in units of 4 bytes. */
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const int32_t *starts; /**< (stride_h, stride_w) Where the stream of a pair of residues begins in `packed`. */
    const int8_t *plain;   /**< (stride_h, stride_w) Whether its stream is plain. */
    const uint32_t *packed;
} te_transpose_conv_dsp_params;

/** @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c)
 *  @param scratch  48 * words bytes. */
void te_transpose_conv_s8_dsp(const te_transpose_conv_dsp_params *params, const int8_t *input, int8_t *output,
                              void *scratch);

/** te_conv2d_s16() with accumulators modulo 2^32 and multipliers of 31 bits, for models with int32 biases. */
void te_conv2d_low_s16(const te_conv2d_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_conv2d_s16() for processors with the DSP extension. */
void te_conv2d_s16_dsp(const te_conv2d_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_conv2d_low_s16() for processors with the DSP extension. */
void te_conv2d_low_s16_dsp(const te_conv2d_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_conv2d_s16_params of which every sum, bias included, fits 32 bits whatever the input, and every shift is in [-17, -1],
 *  for processors with the DSP extension. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t group_c;
    int32_t output_min;
    int32_t output_max;
    int32_t group_words;    /**< Words from a group's filters to the next one's. */
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_gemm_s16_dsp.h. */
} te_conv2d_narrow_s16_dsp_params;

/** Reads four windows before it writes their outputs, so that with one group and batch the output may lie over the
 *  input by rows.
 *  @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c)
 *  @param scratch  With depth = kernel_h * kernel_w * group_c rounded up to twos and n = 4 pixels, or 1 where the output
 *                  has fewer than 4: 2 * depth * n bytes, and then 2 * group_c if group_c is even, else as many again. */
void te_conv2d_narrow_s16_dsp(const te_conv2d_narrow_s16_dsp_params *params, const int16_t *input, int16_t *output,
                              void *scratch);

/** Convolution of each input channel with its own multiplier_c filters. */
typedef struct {
    te_window window;
    int32_t multiplier_c; /**< Output channels that one input channel makes. */
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;      /**< (kernel_h, kernel_w, in_c * multiplier_c), symmetric. */
    const int32_t *bias;        /**< (in_c * multiplier_c) or NULL. */
    const int32_t *multipliers; /**< (in_c * multiplier_c) */
    const int8_t *shifts;       /**< (in_c * multiplier_c) */
} te_depthwise_conv2d_params;

/** @param input   (batches, in_h, in_w, in_c)
 *  @param output  (batches, out_h, out_w, in_c * multiplier_c), in rows. */
void te_depthwise_conv2d_s8(const te_depthwise_conv2d_params *params, const int8_t *input, int8_t *output,
                            void *scratch);

/** te_depthwise_conv2d_s8() with weights as of te_conv2d_s4(). */
void te_depthwise_conv2d_s4(const te_depthwise_conv2d_params *params, const int8_t *input, int8_t *output,
                            void *scratch);

/** Convolution of each input channel of int16 values with its own multiplier_c filters, with accumulators of 64 bits. */
typedef struct {
    te_window window;     /**< kernel_w is at most 511, so that the sum of a row fits 32 bits. */
    int32_t multiplier_c; /**< Output channels that one input channel makes. */
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;      /**< (kernel_h, kernel_w, in_c * multiplier_c), symmetric. */
    const int64_t *bias;        /**< (in_c * multiplier_c) or NULL. */
    const int32_t *multipliers; /**< (in_c * multiplier_c) */
    const int8_t *shifts;       /**< (in_c * multiplier_c) */
} te_depthwise_conv2d_s16_params;

/** @param input   (batches, in_h, in_w, in_c)
 *  @param output  (batches, out_h, out_w, in_c * multiplier_c), in rows. */
void te_depthwise_conv2d_s16(const te_depthwise_conv2d_s16_params *params, const int16_t *input, int16_t *output,
                             void *scratch);

/** te_depthwise_conv2d_s16_params of one filter a channel, of which every sum, bias included, fits 32 bits whatever the
 *  input, and every shift is in [-17, -1], for processors with the DSP extension. */
typedef struct {
    te_window window;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;      /**< (kernel_h, kernel_w, in_c), symmetric. */
    const int32_t *bias;        /**< (in_c) */
    const int32_t *multipliers; /**< (in_c) As in te_gemm_s16_dsp.h. */
} te_depthwise_conv2d_narrow_s16_dsp_params;

/** @param input   (batches, in_h, in_w, in_c)
 *  @param output  (batches, out_h, out_w, in_c), in rows. */
void te_depthwise_conv2d_narrow_s16_dsp(const te_depthwise_conv2d_narrow_s16_dsp_params *params, const int16_t *input,
                                        int16_t *output, void *scratch);

/** te_depthwise_conv2d_narrow_s16_dsp_params of at least eight channels for processors with MVE. */
typedef struct {
    te_window window;
    int32_t output_min;
    int32_t output_max;
    int32_t stream_words;  /**< Of eight channels. */
    const int32_t *packed; /**< For every eight channels, and then for the last eight if others are left: the biases of the
                                even ones, of the odd ones, and multipliers likewise; then eight weights a tap. */
} te_depthwise_conv2d_narrow_s16_mve_params;

/** @param input   (batches, in_h, in_w, in_c)
 *  @param output  (batches, out_h, out_w, in_c), in rows. */
void te_depthwise_conv2d_narrow_s16_mve(const te_depthwise_conv2d_narrow_s16_mve_params *params, const int16_t *input,
                                        int16_t *output, void *scratch);

/** Matrix product with constant weights. */
typedef struct {
    int32_t batches;
    int32_t in_c; /**< At most 65,535 (33,025 with a weights_zero_point). */
    int32_t out_c;
    int32_t input_zero_point;
    int32_t weights_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const int8_t *weights;      /**< (out_c, in_c) */
    const int32_t *bias;        /**< (out_c) or NULL. */
    const int32_t *multipliers; /**< (out_c) */
    const int8_t *shifts;       /**< (out_c) */
} te_fully_connected_params;

/** @param input   (batches, in_c)
 *  @param output  (batches, out_c), in pixels, which are the rows of the matrix here. */
void te_fully_connected_s8(const te_fully_connected_params *params, const int8_t *input, int8_t *output,
                           void *scratch);

/** te_conv2d_params for processors with the DSP extension. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t group_c;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t plain;       /**< See te_gemm_s8_dsp.h. */
    int32_t group_words; /**< Words from a group's filters to the next one's. */
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_gemm_s8_dsp.h. */
} te_conv2d_dsp_params;

/** Reads four windows before it writes their outputs, so that with one group and batch the output may lie over the
 *  input by rows.
 *  @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c)
 *  @param scratch  With depth = kernel_h * kernel_w * group_c rounded up to fours and n = 4 pixels, or 1 where the output
 *                  has fewer than 4: 2 * depth * n bytes, and then group_c bytes if group_c is a multiple of 4, else
 *                  depth * n. */
void te_conv2d_s8_dsp(const te_conv2d_dsp_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_conv2d_s8_dsp() with filters in the order of te_gemm_s4_dsp.h. */
void te_conv2d_s4_dsp(const te_conv2d_dsp_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_conv2d_params without groups and without dilation along a row, for processors with the DSP extension. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int16_t plain;    /**< See te_gemm_s8_dsp.h. */
    int16_t blocks;   /**< Of four pixels that te_conv2d_rows_blocks_s8_dsp() makes at once, else 1. */
    int32_t line;     /**< Values of a padded input row. */
    int32_t stripe_h; /**< Output rows whose input is widened at once. */
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_gemm_s8_dsp.h, but with neighbouring
                                 values in a step; each row of a filter is whole steps, an odd number of steps ends
                                 with one of zeros. */
} te_conv2d_rows_dsp_params;

/** Reads the rows under a stripe of output rows before it writes them, so that with a batch of 1 the output may lie over
 *  the input by rows.
 *  @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c)
 *  @param scratch  4 * n bytes a step, where n is 4 * blocks pixels, or 1 where the output has fewer than 4; 2 * line for
 *                  each row under stripe_h output rows, and 4. */
void te_conv2d_rows_s8_dsp(const te_conv2d_rows_dsp_params *params, const int8_t *input, int8_t *output,
                           void *scratch);

/** te_conv2d_rows_s8_dsp() of an even number of outputs, quick as in te_gemm_s8_dsp.h, that makes many pixels of two outputs. */
void te_conv2d_rows_blocks_s8_dsp(const te_conv2d_rows_dsp_params *params, const int8_t *input, int8_t *output,
                                  void *scratch);

/** te_conv2d_params of 3x3 filters without stride, dilation and groups, of input channels in fours and an even number of
 *  output channels, for processors with the DSP extension; plain as in te_gemm_s8_dsp.h but for large biases. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t input_zero_point;
    const uint32_t *packed; /**< A pair of channels after the other: the filters of te_winograd_sums_dsp(), and two
                                 te_winograd_channel. */
} te_conv2d_winograd_dsp_params;

/** By te_winograd_s8_dsp.h. Makes two rows together, so that with a batch of 1 the output may lie over the input by such.
 *  @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c)
 *  @param scratch  144 * in_c + 512 bytes. */
void te_conv2d_winograd_s8_dsp(const te_conv2d_winograd_dsp_params *params, const int8_t *input, int8_t *output,
                               void *scratch);

/** te_conv2d_rows_s8_dsp() with filters as te_gemm_s4_dsp.h has them. */
void te_conv2d_rows_s4_dsp(const te_conv2d_rows_dsp_params *params, const int8_t *input, int8_t *output,
                           void *scratch);

/** te_depthwise_conv2d_params of one 3x3 filter a channel for processors with the DSP extension, where the filter is not
 *  dilated along a row, stride_w is 1 or 2, out_w at least 2, and the layer plain as in te_gemm_s8_dsp.h but for large
 *  biases. */
typedef struct {
    int16_t batches;
    int16_t in_h;
    int16_t in_w;
    int16_t in_c;
    int16_t out_h;
    int16_t out_w;
    int16_t kernel_h;
    int16_t stride_h;
    int16_t stride_w;
    int16_t dilation_h;
    int16_t pad_top;
    int16_t pad_left;
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t quick;     /**< Whether products shift and round, as in a quick layer of te_gemm_s8_dsp.h, by te_quick_factor() of
                           each channel's own shift. */
    int16_t words;    /**< Of a channel: 4, or 5 where its bias has one of its own. */
    int16_t plane_w;  /**< Values of a padded input row; even. */
    int16_t stripe_h; /**< Output rows whose input is widened at once. */
    const uint32_t *packed; /**< A channel after the other: the nine weights; 5 bits of right shift and 19 of bias; the
                                 multiplier as in te_gemm_s8_dsp.h; and, in 5 words, the bias. */
} te_depthwise_conv2d_dsp_params;

/** Reads all rows that an output row needs before it writes that row, and writes the channels alone that it reads: the
 *  output may be the very memory of the input where no output pixel is behind the input that was read for it.
 *  @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, in_c)
 *  @param scratch  160 bytes, and 8 * plane_w for each row under stripe_h output rows:
 *                  (stripe_h - 1) * stride_h + (kernel_h - 1) * dilation_h + 1. */
void te_depthwise_conv2d_s8_dsp(const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int8_t *output,
                                void *scratch);

/** te_depthwise_conv2d_s8_dsp() with weights of 4 bits: of a channel the words are nine of them, the first in the lowest
 *  bits; 5 bits of right shift, 4 of a power of 2 by which weights and bias are multiplied, and 19 of bias; the
 *  multiplier; and, in 4 words, the bias, multiplied. */
void te_depthwise_conv2d_s4_dsp(const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int8_t *output,
                                void *scratch);

/** te_depthwise_conv2d_params of one filter a channel, of any other size, for processors with the DSP extension. */
typedef struct {
    int16_t batches;
    int16_t in_h;
    int16_t in_w;
    int16_t in_c;
    int16_t out_h;
    int16_t out_w;
    int16_t kernel_h;
    int16_t kernel_w;
    int16_t stride_h;
    int16_t stride_w;
    int16_t dilation_h;
    int16_t dilation_w;
    int16_t pad_top;
    int16_t pad_left;
    int8_t input_zero_point;
    int8_t output_zero_point;
    int8_t output_min;
    int8_t output_max;
    int8_t plain;     /**< Whether the layer is plain as in te_gemm_s8_dsp.h, whatever its biases, and the taps of a row are
                           neighbours, or dilated by any with a stride_w of 1 and kernel_w above 1. */
    int8_t tall;      /**< Whether kernel_w is 1: then runs of taps and outputs go down the columns, else along the rows. */
    int16_t line;     /**< Values of a padded input row, in dilation_w parts of as many where `plain`, or of a column under
                           stripe_h output rows. */
    int16_t stripe_h; /**< Output rows whose input is widened at once. */
    const uint32_t *packed; /**< A channel after the other as in te_taps_s8_dsp.h; a row of taps is a column where `tall`. */
} te_depthwise_taps_dsp_params;

/** Reads and writes in the order of te_depthwise_conv2d_s8_dsp().
 *  @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, in_c)
 *  @param scratch  8 * line for each column where `tall`, else for each row under stripe_h output rows, and 4 bytes. */
void te_depthwise_taps_s8_dsp(const te_depthwise_taps_dsp_params *params, const int8_t *input, int8_t *output,
                              void *scratch);

/** te_depthwise_taps_s8_dsp() with weights of 4 bits: a word of them is two of te_taps_s8_dsp.h, of which the first has the
 *  lower halves of the bytes, each plus 8. Takes 16 bytes of scratch more for every word of a channel's stream there. */
void te_depthwise_taps_s4_dsp(const te_depthwise_taps_dsp_params *params, const int8_t *input, int8_t *output,
                              void *scratch);

/** te_depthwise_conv2d_params of one filter a channel whose windows are whole rows of the image, without padding, for
 *  processors with the DSP extension. */
typedef struct {
    int32_t batches;
    int32_t image_bytes;  /**< From an image to the next. */
    int32_t windows;      /**< Of an image. */
    int32_t window_bytes; /**< From a window to the next. */
    int32_t pixels;       /**< Of a window. */
    int32_t pixel_bytes;  /**< From a pixel to the next. */
    int32_t channels;     /**< In fours. */
    const uint32_t *packed; /**< Four channels after the other, their sums and so biases and weights doubled: biases; for every
                                 two pixels a word a channel of their weights as int16 values; multipliers as in
                                 te_requantise.h; half a unit, and the zero point above it; a word of right shifts. */
} te_depthwise_whole_dsp_params;

/** Reads four channels of a window before it writes the four, and no others, window after window: the output may be the
 *  memory of the first pixels.
 *  @param input   (batches, in_h, in_w, channels)
 *  @param output  (batches, windows, channels) */
void te_depthwise_whole_s8_dsp(const te_depthwise_whole_dsp_params *params, const int8_t *input, int8_t *output,
                               void *scratch);

/** te_fully_connected_params for processors with the DSP extension; 1x1 convolutions are the same over their pixels. */
typedef struct {
    int32_t batches;
    int32_t in_c;
    int32_t out_c;
    int8_t output_zero_point;
    int8_t output_min;
    int8_t output_max;
    int8_t plain;           /**< See te_gemm_s8_dsp.h. */
    int8_t blocks;          /**< Of four rows that are made at once: 1 or 2, and more of te_fully_connected_blocks_s8_dsp(). */
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_gemm_s8_dsp.h. */
} te_fully_connected_dsp_params;

/** Reads the rows that are made at once before it writes their outputs, so that the output may lie over the input by rows.
 *  @param input    (batches, in_c)
 *  @param output   (batches, out_c)
 *  @param scratch  2 * n bytes a value of in_c rounded up to fours; n is 4 * blocks, or 1 where there are fewer than 4
 *                  rows. */
void te_fully_connected_s8_dsp(const te_fully_connected_dsp_params *params, const int8_t *input, int8_t *output,
                               void *scratch);

/** te_fully_connected_s8_dsp() of an even number of outputs, quick as in te_gemm_s8_dsp.h, that makes many rows of two outputs. */
void te_fully_connected_blocks_s8_dsp(const te_fully_connected_dsp_params *params, const int8_t *input, int8_t *output,
                                      void *scratch);

/** te_fully_connected_s8_dsp() with filters in the order of te_gemm_s4_dsp.h. */
void te_fully_connected_s4_dsp(const te_fully_connected_dsp_params *params, const int8_t *input, int8_t *output,
                               void *scratch);

/** te_fully_connected_s8_dsp() of fewer than four rows and eight outputs or more, quick as in te_gemm_s8_dsp.h, with filters in
 *  the order of te_gemm_row_s8_dsp.h, the last ones of less than eight in that of the former. */
void te_fully_connected_row_s8_dsp(const te_fully_connected_dsp_params *params, const int8_t *input, int8_t *output,
                                   void *scratch);

/** te_fully_connected_params of one output a row, for processors with the DSP extension. */
typedef struct {
    int32_t batches;
    int32_t in_c;
    int32_t bias;           /**< Less what the input's zero point adds. */
    int32_t multiplier;     /**< As in te_gemm_s8_dsp.h, and so are the shifts. */
    int8_t right_shift;
    int8_t left_shift;
    int8_t output_zero_point;
    int8_t output_min;
    int8_t output_max;
    const uint32_t *packed; /**< (in_c) bytes, and zeros up to a multiple of 4. */
} te_fully_connected_one_dsp_params;

/** Reads a row before it writes its output.
 *  @param input   (batches, in_c)
 *  @param output  (batches) */
void te_fully_connected_one_s8_dsp(const te_fully_connected_one_dsp_params *params, const int8_t *input, int8_t *output,
                                   void *scratch);

/** te_conv2d_params for processors with MVE. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t group_c;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t group_words;    /**< Words from a group's filters to the next one's. */
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_gemm_s8_mve.h. */
} te_conv2d_mve_params;

/** @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c)
 *  @param scratch  2 * (kernel_h * kernel_w * group_c rounded up to sixteens) bytes. */
void te_conv2d_s8_mve(const te_conv2d_mve_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_conv2d_s8_mve() of INT4 weights, packed in half of the words. */
void te_conv2d_s4_mve(const te_conv2d_mve_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_depthwise_conv2d_params of one filter a channel, of up to 4x4 taps, for processors with MVE. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t kernel_h;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t two_rows;       /**< Whether output rows are made in twos: filters of up to 3x3 taps and strides of 1. */
    int32_t columns;        /**< Under all outputs, their number rounded up to 4, or to 2 where no row is made alone;
                                 padding included. */
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_depthwise_s8_mve.h. */
} te_depthwise_conv2d_mve_params;

/** @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, in_c)
 *  @param scratch  64 * columns + 16 bytes. */
void te_depthwise_conv2d_s8_mve(const te_depthwise_conv2d_mve_params *params, const int8_t *input, int8_t *output,
                                void *scratch);

/** te_depthwise_conv2d_s8_mve() of INT4 weights, packed in six words a channel in place of nine. */
void te_depthwise_conv2d_s4_mve(const te_depthwise_conv2d_mve_params *params, const int8_t *input, int8_t *output,
                                void *scratch);

/** te_depthwise_conv2d_params of one filter a channel whose windows are whole rows of the image, without padding, for
 *  processors with MVE. */
typedef struct {
    int32_t batches;
    int32_t image_bytes;  /**< From an image to the next. */
    int32_t windows;      /**< Of an image. */
    int32_t window_bytes; /**< From a window to the next. */
    int32_t pixels;       /**< Of a window. */
    int32_t pixel_bytes;  /**< From a pixel to the next. */
    int32_t channels;
    int32_t output_min;
    int32_t output_max;
    const int32_t *packed; /**< For every eight channels, the last ones with zeros: of the even ones and of the odd ones
                                four words each of biases, multipliers, roundings, and 24 - right shifts, as in
                                te_gemm_s8_mve.h; then eight weights a pixel. */
} te_depthwise_whole_mve_params;

/** Reads eight channels of a window before it writes the eight, and no others, window after window: the output may be the
 *  memory of the first pixels.
 *  @param input   (batches, in_h, in_w, channels)
 *  @param output  (batches, windows, channels) */
void te_depthwise_whole_s8_mve(const te_depthwise_whole_mve_params *params, const int8_t *input, int8_t *output,
                               void *scratch);

/** te_depthwise_whole_s8_mve() of INT4 weights: eight bytes for two pixels, the first one's weights in the lower halves. */
void te_depthwise_whole_s4_mve(const te_depthwise_whole_mve_params *params, const int8_t *input, int8_t *output,
                               void *scratch);

/** te_fully_connected_params for processors with MVE; 1x1 convolutions are the same over their pixels. */
typedef struct {
    int32_t batches;
    int32_t in_c;
    int32_t out_c;
    int32_t output_min;
    int32_t output_max;
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_gemm_s8_mve.h. */
} te_fully_connected_mve_params;

/** @param input    (batches, in_c)
 *  @param output   (batches, out_c)
 *  @param scratch  in_c bytes rounded up to sixteens; not used where in_c is a multiple of 16. */
void te_fully_connected_s8_mve(const te_fully_connected_mve_params *params, const int8_t *input, int8_t *output,
                               void *scratch);

/** te_fully_connected_s8_mve() of INT4 weights, packed in half of the words. */
void te_fully_connected_s4_mve(const te_fully_connected_mve_params *params, const int8_t *input, int8_t *output,
                               void *scratch);

/** te_conv2d_narrow_s16_dsp() for processors with MVE.
 *  @param params   Filters, biases and multipliers are in the order of te_gemm_s16_mve.h; the range is of int16, the zero
 *                  point 0.
 *  @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c), in rows with one group.
 *  @param scratch  4 * (kernel_h * kernel_w * group_c rounded up to eights) bytes. */
void te_conv2d_narrow_s16_mve(const te_conv2d_mve_params *params, const int16_t *input, int16_t *output,
                              void *scratch);

/** te_conv2d_narrow_s16_mve() of 1x1 filters without strides, padding and groups.
 *  @param params   Filters, biases and multipliers are in the order of te_gemm_s16_mve.h; the range is of int16.
 *  @param input    (batches, in_c)
 *  @param output   (batches, out_c), in pixels.
 *  @param scratch  2 * in_c bytes rounded up to sixteens; not used where in_c is a multiple of 8. */
void te_fully_connected_narrow_s16_mve(const te_fully_connected_mve_params *params, const int16_t *input,
                                       int16_t *output, void *scratch);

/** te_conv2d_params for processors without SIMD instructions. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t group_c;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_gemm_s8_scalar.h. */
    const int8_t *shifts;   /**< (out_c) */
} te_conv2d_scalar_params;

/** @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c)
 *  @param scratch  8 * (kernel_h * kernel_w * group_c rounded up to fours) + kernel_w * group_c bytes. */
void te_conv2d_s8_scalar(const te_conv2d_scalar_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_conv2d_s8_scalar() with weights of 4 bits, filters in the order of te_gemm_s4_scalar.h.
 *  @param scratch  As there, rounded up to eights. */
void te_conv2d_s4_scalar(const te_conv2d_scalar_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_depthwise_conv2d_params of one filter a channel, for processors without SIMD instructions. */
typedef struct {
    te_window window;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t line; /**< Bytes of a padded row, at least those under the outputs rounded up to fours; 0 where rows are read
                       where they lie, which takes four windows of which all columns are inside. */
    const uint32_t *packed; /**< Of each channel the weights, four to a word, the bias without the input's zero point, and
                                 the multiplier. */
    const int8_t *shifts;   /**< (in_c) */
} te_depthwise_conv2d_scalar_params;

/** @param input   (batches, in_h, in_w, in_c)
 *  @param output  (batches, out_h, out_w, in_c), in rows.
 *  @param scratch  kernel_h * line bytes. */
void te_depthwise_conv2d_s8_scalar(const te_depthwise_conv2d_scalar_params *params, const int8_t *input, int8_t *output,
                                   void *scratch);

/** te_depthwise_conv2d_s8_scalar() of INT4 weights, eight to a word: the first four in the lower halves of its bytes.
 *  @param scratch  As there, and kernel_h * kernel_w bytes rounded up to eights before. */
void te_depthwise_conv2d_s4_scalar(const te_depthwise_conv2d_scalar_params *params, const int8_t *input, int8_t *output,
                                   void *scratch);

/** te_fully_connected_params for processors without SIMD instructions; 1x1 convolutions are the same over their
 *  pixels. */
typedef struct {
    int32_t batches;
    int32_t in_c;
    int32_t out_c;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const uint32_t *packed; /**< Filters, biases and multipliers in the order of te_gemm_s8_scalar.h. */
    const int8_t *shifts;   /**< (out_c) */
} te_fully_connected_scalar_params;

/** @param input    (batches, in_c)
 *  @param output   (batches, out_c)
 *  @param scratch  8 * (in_c rounded up to fours) bytes; not used by less than four batches. */
void te_fully_connected_s8_scalar(const te_fully_connected_scalar_params *params, const int8_t *input, int8_t *output,
                                  void *scratch);

/** te_fully_connected_s8_scalar() of INT4 weights for few rows, one after the other, without scratch.
 *  @param params  Of every four outputs, the last ones with zeros: a word of two depths, then four biases and four
 *                 multipliers. Weights are plus 8, those of outputs 0 and 1 in the lowest bits of the word's halves, next
 *                 those of outputs 2 and 3, then the same of the second depth: two products are one. */
void te_fully_connected_s4_scalar(const te_fully_connected_scalar_params *params, const int8_t *input, int8_t *output,
                                  void *scratch);

/** Product of two batches of matrices, either of which may be transposed, broadcast or constant.
 *
 *  Strides are in elements; a stride of 0 repeats. */
typedef struct {
    int32_t batch_dims[3];
    int32_t lhs_batch_strides[3];
    int32_t rhs_batch_strides[3];
    int32_t rows;
    int32_t depth; /**< At most 33,025. */
    int32_t cols;
    int32_t lhs_row_stride;
    int32_t lhs_depth_stride;
    int32_t rhs_depth_stride;
    int32_t rhs_col_stride;
    int32_t lhs_zero_point;
    int32_t rhs_zero_point;
    int32_t output_zero_point;
    int32_t multiplier;
    int32_t shift;
    const int8_t *lhs_constant; /**< The left operand, or NULL where it is the kernel's first input. */
    const int8_t *rhs_constant; /**< The right operand, or NULL where it is the kernel's second input. */
} te_batch_matmul_params;

/** @param lhs     Left operand; ignored where params->lhs_constant is not NULL.
 *  @param rhs     Right operand; ignored where params->rhs_constant is not NULL.
 *  @param output  (batch_dims[0], batch_dims[1], batch_dims[2], rows, cols) */
void te_batch_matmul_s8(const te_batch_matmul_params *params, const int8_t *lhs, const int8_t *rhs, int8_t *output,
                        void *scratch);

/** te_batch_matmul_params for processors with MVE: the left rows are dense. */
typedef struct {
    int32_t batch_dims[3];
    int32_t lhs_batch_strides[3];
    int32_t rhs_batch_strides[3];
    int32_t rows;
    int32_t depth;
    int32_t cols;
    int32_t lhs_row_stride;
    int32_t rhs_depth_stride; /**< At most 9,362. */
    int32_t rhs_col_stride;
    int32_t lhs_zero_point;
    int32_t rhs_zero_point;
    int32_t multiplier; /**< As in the stream of te_gemm_s8_mve.h, like the next two. */
    int32_t rounding;
    int32_t left_shift;
    const int8_t *lhs_constant; /**< The left operand, or NULL where it is the kernel's first input. */
    const int8_t *rhs_constant; /**< The right operand, or NULL where it is the kernel's second input. */
} te_batch_matmul_mve_params;

/** @param lhs      Left operand; ignored where params->lhs_constant is not NULL.
 *  @param rhs      Right operand; ignored where params->rhs_constant is not NULL.
 *  @param output   (batch_dims[0], batch_dims[1], batch_dims[2], rows, cols)
 *  @param scratch  With d = depth rounded up to sixteens: (4 * d + 64) bytes for every four columns begun, and 2 * d. */
void te_batch_matmul_s8_mve(const te_batch_matmul_mve_params *params, const int8_t *lhs, const int8_t *rhs,
                            int8_t *output, void *scratch);

/** The same product of int16 values, with accumulators of 64 bits. */
typedef struct {
    int32_t batch_dims[3];
    int32_t lhs_batch_strides[3];
    int32_t rhs_batch_strides[3];
    int32_t rows;
    int32_t depth;
    int32_t cols;
    int32_t lhs_row_stride;
    int32_t lhs_depth_stride;
    int32_t rhs_depth_stride;
    int32_t rhs_col_stride;
    int32_t multiplier;
    int32_t shift;
    const int16_t *lhs_constant; /**< The left operand, or NULL where it is the kernel's first input. */
    const int16_t *rhs_constant; /**< The right operand, or NULL where it is the kernel's second input. */
} te_batch_matmul_s16_params;

/** @param lhs     Left operand; ignored where params->lhs_constant is not NULL.
 *  @param rhs     Right operand; ignored where params->rhs_constant is not NULL.
 *  @param output  (batch_dims[0], batch_dims[1], batch_dims[2], rows, cols) */
void te_batch_matmul_s16(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
                         int16_t *output, void *scratch);

/** te_batch_matmul_s16() for processors with the DSP extension.
 *  @param scratch  2 * depth bytes for each of cols if rhs_depth_stride is not 1, and once if lhs_depth_stride is not 1;
 *                  else none. */
void te_batch_matmul_s16_dsp(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
                             int16_t *output, void *scratch);

/** te_batch_matmul_s16_dsp() for processors with MVE; strides of the depth are in [0, 9,362]. */
void te_batch_matmul_s16_mve(const te_batch_matmul_s16_params *params, const int16_t *lhs, const int16_t *rhs,
                             int16_t *output, void *scratch);

/** te_batch_matmul_params for processors with the DSP extension. */
typedef struct {
    int32_t batch_dims[3];
    int32_t lhs_batch_strides[3];
    int32_t rhs_batch_strides[3];
    int32_t rows;
    int32_t depth; /**< At most 255, so that a row's sum fits 16 bits. */
    int32_t cols;
    int32_t lhs_row_stride;
    int32_t lhs_depth_stride;
    int32_t rhs_depth_stride;
    int32_t rhs_col_stride;
    int32_t lhs_zero_point;
    int32_t rhs_zero_point;
    int32_t output_zero_point;
    int32_t steps; /**< 2 * (ceil(depth / 4) + 1) */
    int32_t plain; /**< As in te_gemm_s8_dsp.h, like the next three. */
    int32_t multiplier;
    int32_t right_shift;
    int32_t left_shift;
    const int8_t *lhs_constant; /**< The left operand, or NULL where it is the kernel's first input. */
    const int8_t *rhs_constant; /**< The right operand, or NULL where it is the kernel's second input. */
} te_batch_matmul_dsp_params;

/** @param lhs      Left operand; ignored where params->lhs_constant is not NULL.
 *  @param rhs      Right operand; ignored where params->rhs_constant is not NULL.
 *  @param output   (batch_dims[0], batch_dims[1], batch_dims[2], rows, cols)
 *  @param scratch  4 * (steps + 5) bytes a pair of cols, and 4 * steps for each of 4 rows, or of 1
 *                  where there are fewer. */
void te_batch_matmul_s8_dsp(const te_batch_matmul_dsp_params *params, const int8_t *lhs, const int8_t *rhs,
                            int8_t *output, void *scratch);

/** Sum or difference of two tensors, either of which may be broadcast or constant.
 *
 *  Each operand, less its zero point and times 2^20, is scaled by its multiplier, and their sum by the output's.
 *  Strides are in elements; a stride of 0 repeats. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    int32_t input1_zero_point;
    int32_t input2_zero_point;
    int32_t output_zero_point;
    int32_t input1_multiplier;
    int32_t input1_shift; /**< [-31, 0] */
    int32_t input2_multiplier;
    int32_t input2_shift; /**< [-31, 0] */
    int32_t output_multiplier;
    int32_t output_shift; /**< [-31, 0] */
    int32_t output_min;
    int32_t output_max;
    const int8_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int8_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_add_params;

/** @param input1  First operand; ignored where params->constant1 is not NULL.
 *  @param input2  Second operand; ignored where params->constant2 is not NULL.
 *  @param output  input1 + input2, (dims); may be the very memory of an operand that is not broadcast. */
void te_add_s8(const te_add_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
               void *scratch);

/** te_add_s8() for input1 - input2. */
void te_sub_s8(const te_add_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
               void *scratch);

/** te_add_s8() for processors with the DSP extension, where output_shift is at most -1, and 2^(-1 - output_shift) times
 *  2 * output_zero_point + 1 is below 2^30 in magnitude. */
void te_add_rows_s8_dsp(const te_add_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                        void *scratch);

/** The same for input1 - input2. */
void te_sub_rows_s8_dsp(const te_add_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                        void *scratch);

/** Sum or difference of two tensors of one shape for processors with the DSP extension: 2^19 to a unit of the larger
 *  scale. */
typedef struct {
    int32_t count;
    int32_t scaled_is_subtracted; /**< 1 or 0. */
    int32_t scaled_zero_point;
    int32_t scaled_multiplier;
    int32_t scaled_shift; /**< [-31, 0] */
    int32_t exact_unit; /**< 2^19, or -2^19 where it is subtracted. */
    int32_t exact_zero_point;
    int32_t output_multiplier; /**< As in te_gemm_s8_dsp.h; with the zero point in output_rounding. */
    int32_t output_rounding;
    int32_t output_right_shift;
} te_add_dsp_params;

/** @param scaled   (count), the operand of the smaller scale.
 *  @param exact    (count), that of the larger one, whose multiplier is 1/2.
 *  @param output   (count), which may be the very memory of an operand.
 *  @param scratch  1,024 bytes. */
void te_add_s8_dsp(const te_add_dsp_params *params, const int8_t *scaled, const int8_t *exact, int8_t *output,
                   void *scratch);

/** Sum of two tensors of one shape for processors with MVE: 2^19 to a unit of the larger scale. */
typedef struct {
    int32_t count;
    int32_t scaled_offset;     /**< Less the zero point, times 2^20. */
    int32_t scaled_multiplier;
    int32_t scaled_left_shift; /**< [-31, -1] */
    int32_t exact_offset;      /**< Less the zero point, times 2^19. */
    int32_t output_rounding;   /**< As in the stream of te_gemm_s8_mve.h, like the next two. */
    int32_t output_multiplier;
    int32_t output_left_shift;
} te_add_mve_params;

/** @param scaled  (count), the operand of the smaller scale.
 *  @param exact   (count), that of the larger one.
 *  @param output  (count), which may be the very memory of an operand. */
void te_add_s8_mve(const te_add_mve_params *params, const int8_t *scaled, const int8_t *exact, int8_t *output,
                   void *scratch);

/** Sum or difference of two int16 tensors, either of which may be broadcast or constant.
 *
 *  Each operand, times 2^15, is scaled by its multiplier, and their sum by the output's. Strides are in elements; a
 *  stride of 0 repeats. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    int32_t input1_multiplier;
    int32_t input1_shift; /**< [-31, 0] */
    int32_t input2_multiplier;
    int32_t input2_shift; /**< [-31, 0] */
    int32_t output_multiplier;
    int32_t output_shift; /**< [-31, 0] */
    int32_t output_min;
    int32_t output_max;
    const int16_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int16_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_add_s16_params;

/** @param input1  First operand; ignored where params->constant1 is not NULL.
 *  @param input2  Second operand; ignored where params->constant2 is not NULL.
 *  @param output  input1 + input2, (dims); may be the very memory of an operand that is not broadcast. */
void te_add_s16(const te_add_s16_params *params, const int16_t *input1, const int16_t *input2, int16_t *output,
                void *scratch);

/** te_add_s16() for input1 - input2. */
void te_sub_s16(const te_add_s16_params *params, const int16_t *input1, const int16_t *input2, int16_t *output,
                void *scratch);

/** te_add_s16() or te_sub_s16() of two tensors of one shape for processors with the DSP extension: 2^14 to a unit of the
 *  larger scale. */
typedef struct {
    int32_t count;
    int32_t scaled_multiplier;
    int32_t scaled_right_shift;
    int32_t scaled_half; /**< Of the last bit that it shifts out; 0 without a shift. */
    int32_t scaled_sign; /**< -1, which rounds halves away from zero; 0 without a shift. */
    int32_t output_multiplier; /**< As in te_gemm_s8_dsp.h. */
    int32_t output_right_shift; /**< [1, 29] */
    int32_t output_half;
    int32_t scaled_is_subtracted; /**< Of a difference, 1 where it is exact - scaled; else 0. */
} te_add_s16_dsp_params;

/** @param scaled  (count), the operand of the smaller scale.
 *  @param exact   (count), that of the larger one, whose multiplier is 1/2.
 *  @param output  (count), which may be the very memory of an operand. */
void te_add_s16_dsp(const te_add_s16_dsp_params *params, const int16_t *scaled, const int16_t *exact, int16_t *output,
                    void *scratch);

/** te_add_s16_dsp() for differences. */
void te_sub_s16_dsp(const te_add_s16_dsp_params *params, const int16_t *scaled, const int16_t *exact, int16_t *output,
                    void *scratch);

/** te_add_s16_dsp_params for processors with MVE. */
typedef struct {
    int32_t count;
    int32_t scaled_multiplier;
    int32_t scaled_left_shift; /**< [-31, -1] */
    int32_t output_multiplier;
    int32_t output_left_shift; /**< [-31, -1] */
} te_add_s16_mve_params;

/** @param scaled  (count), the operand of the smaller scale.
 *  @param exact   (count), that of the larger one.
 *  @param output  (count), which may be the very memory of an operand. */
void te_add_s16_mve(const te_add_s16_mve_params *params, const int16_t *scaled, const int16_t *exact, int16_t *output,
                    void *scratch);

/** How a code of an operand is scaled in a sum. */
typedef struct {
    int32_t offset; /**< Less the zero point, times 2^20; 0 of int16 values. */
    int32_t multiplier;
    int32_t left_shift; /**< [-31, -1] */
} te_scaled_operand_mve;

/** te_add_params and te_add_s16_params for processors with MVE; the step along a row is 0 or 1. */
typedef struct {
    te_scaled_operand_mve operand1;
    te_scaled_operand_mve operand2;
    int32_t sign;              /**< 1, or -1 for input1 - input2. */
    int32_t output_multiplier; /**< Of int8 values as in the stream of te_gemm_s8_mve.h, like the next two. */
    int32_t output_left_shift; /**< Of int16 values [-31, -1]. */
    int32_t output_rounding;   /**< 0 of int16 values. */
    int32_t output_min;
    int32_t output_max;
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    const void *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const void *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_add_rows_mve_params;

/** te_add_s8() or te_sub_s8() of these params. */
void te_add_rows_s8_mve(const te_add_rows_mve_params *params, const int8_t *input1, const int8_t *input2,
                        int8_t *output, void *scratch);

/** te_add_s16() or te_sub_s16() of these params. */
void te_add_rows_s16_mve(const te_add_rows_mve_params *params, const int16_t *input1, const int16_t *input2,
                         int16_t *output, void *scratch);

/** Product of two tensors, either of which may be broadcast or constant.
 *
 *  Strides are in elements; a stride of 0 repeats. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    int32_t input1_zero_point;
    int32_t input2_zero_point;
    int32_t output_zero_point;
    int32_t multiplier;
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
    const int8_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int8_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_mul_params;

/** @param input1  First operand; ignored where params->constant1 is not NULL.
 *  @param input2  Second operand; ignored where params->constant2 is not NULL.
 *  @param output  input1 * input2, (dims); may be the very memory of an operand that is not broadcast. */
void te_mul_s8(const te_mul_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
               void *scratch);

/** Product of two int16 tensors, either of which may be broadcast or constant.
 *
 *  Strides are in elements; a stride of 0 repeats. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    int32_t multiplier;
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
    const int16_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int16_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_mul_s16_params;

/** @param input1  First operand; ignored where params->constant1 is not NULL.
 *  @param input2  Second operand; ignored where params->constant2 is not NULL.
 *  @param output  input1 * input2, (dims); may be the very memory of an operand that is not broadcast. */
void te_mul_s16(const te_mul_s16_params *params, const int16_t *input1, const int16_t *input2, int16_t *output,
                void *scratch);

/** te_mul_params for processors with the DSP extension, where the step along a row is 0 or 1. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    int32_t input1_zero_point;
    int32_t input2_zero_point;
    int32_t multiplier; /**< As in te_gemm_s8_dsp.h; with the zero point in rounding. */
    int32_t rounding;
    int32_t right_shift;
    int32_t output_min;
    int32_t output_max;
    const int8_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int8_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_mul_dsp_params;

/** te_mul_s8() of these params. */
void te_mul_s8_dsp(const te_mul_dsp_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                   void *scratch);

/** te_mul_s16_params for processors with the DSP extension, where the step along a row is 0 or 1. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    int32_t multiplier; /**< As in te_gemm_s8_dsp.h. */
    int32_t half;
    int32_t right_shift; /**< [1, 29] */
    int32_t output_min;
    int32_t output_max;
    const int16_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int16_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_mul_s16_dsp_params;

/** te_mul_s16() of these params. */
void te_mul_s16_dsp(const te_mul_s16_dsp_params *params, const int16_t *input1, const int16_t *input2, int16_t *output,
                    void *scratch);

/** te_mul_params, and te_mul_s16_params with zero points of 0, for processors with MVE; the step along a row is 0 or 1. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    int32_t input1_zero_point;
    int32_t input2_zero_point;
    int32_t multiplier; /**< As in the stream of te_gemm_s8_mve.h, like the next two. */
    int32_t rounding;   /**< 0 of int16 values. */
    int32_t left_shift; /**< Of int16 values less the right shift. */
    int32_t output_min;
    int32_t output_max;
    const void *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const void *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_mul_mve_params;

/** te_mul_s8() of these params. */
void te_mul_s8_mve(const te_mul_mve_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                   void *scratch);

/** te_mul_s16() of these params. */
void te_mul_s16_mve(const te_mul_mve_params *params, const int16_t *input1, const int16_t *input2, int16_t *output,
                    void *scratch);

/** te_add_s8() for (input1 - input2)^2, with 2^7 to a unit of the larger scale; output_shift is in [-31, 30]. */
void te_squared_difference_s8(const te_add_params *params, const int8_t *input1, const int8_t *input2,
                              int8_t *output, void *scratch);

/** te_squared_difference_s8() of int16 values, with 1 to a unit. */
void te_squared_difference_s16(const te_add_s16_params *params, const int16_t *input1, const int16_t *input2,
                               int16_t *output, void *scratch);

/** The larger or the smaller of two codes, whatever they stand for. Strides are in elements; a stride of 0 repeats. */
typedef struct {
    int32_t dims[4]; /**< Of the output, which is dense. */
    int32_t strides1[4];
    int32_t strides2[4];
    const int8_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int8_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_extremum_params;

/** @param input1  First operand; ignored where params->constant1 is not NULL.
 *  @param input2  Second operand; ignored where params->constant2 is not NULL.
 *  @param output  The larger, (dims); may be the very memory of an operand that is not broadcast. */
void te_maximum_s8(const te_extremum_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                   void *scratch);

/** te_maximum_s8() for the smaller. */
void te_minimum_s8(const te_extremum_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                   void *scratch);

/** What te_compare_s8() asks of its operands. */
typedef enum {
    TE_EQUAL,
    TE_NOT_EQUAL,
    TE_GREATER,
    TE_GREATER_EQUAL,
    TE_LESS,
    TE_LESS_EQUAL
} te_comparison;

/** Element-wise comparison with broadcasting, of operands in units of 2^-8. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    int32_t input1_zero_point;
    int32_t input1_multiplier; /**< As in te_requantise.h: the scale. */
    int32_t input1_shift;
    int32_t input2_zero_point;
    int32_t input2_multiplier;
    int32_t input2_shift;
    int32_t comparison;      /**< te_comparison */
    const int8_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int8_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_compare_params;

/** @param input1  First operand; ignored where params->constant1 is not NULL.
 *  @param input2  Second operand; ignored where params->constant2 is not NULL.
 *  @param output  Of 0 and 1; may be the very memory of an operand that is not broadcast. */
void te_compare_s8(const te_compare_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                   void *scratch);

/** Element-wise choice of one of two operands with broadcasting. */
typedef struct {
    int32_t dims[4];
    int32_t condition_strides[4];
    int32_t chosen_strides[4];
    int32_t other_strides[4];
    const int8_t *constant_condition; /**< Each operand, or NULL where it is the kernel's input. */
    const int8_t *constant_chosen;
    const int8_t *constant_other;
} te_select_params;

/** @param condition  Not 0 where `chosen` is taken.
 *  @param output     May be the very memory of an operand that is not broadcast. */
void te_select_s8(const te_select_params *params, const int8_t *condition, const int8_t *chosen, const int8_t *other,
                  int8_t *output, void *scratch);

/** Types that te_cast() converts. */
typedef enum { TE_CAST_INT8, TE_CAST_INT16, TE_CAST_INT32 } te_cast_type;

/** The same numbers in another type, integers modulo its range. */
typedef struct {
    int32_t count;
    int32_t source; /**< te_cast_type */
    int32_t target; /**< te_cast_type; te_cast_f32() has no use for it. */
} te_cast_params;

/** @param input   (count)
 *  @param output  (count), apart from the input. */
void te_cast(const te_cast_params *params, const void *input, void *output, void *scratch);

/** te_cast() to float32. */
void te_cast_f32(const te_cast_params *params, const void *input, float *output, void *scratch);

/** te_extremum_params of int16 values. */
typedef struct {
    int32_t dims[4];
    int32_t strides1[4];
    int32_t strides2[4];
    const int16_t *constant1; /**< The first operand, or NULL where it is the kernel's first input. */
    const int16_t *constant2; /**< The second operand, or NULL where it is the kernel's second input. */
} te_extremum_s16_params;

/** te_maximum_s8() of int16 values. */
void te_maximum_s16(const te_extremum_s16_params *params, const int16_t *input1, const int16_t *input2,
                    int16_t *output, void *scratch);

/** te_minimum_s8() of int16 values. */
void te_minimum_s16(const te_extremum_s16_params *params, const int16_t *input1, const int16_t *input2,
                    int16_t *output, void *scratch);

/** Mean or sum over some axes of a tensor. Strides are in elements of the input. */
typedef struct {
    int32_t kept_dims[3];
    int32_t kept_strides[3];
    int32_t reduced_dims[3];
    int32_t reduced_strides[3];
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t multiplier; /**< Holds the division of a mean by the number of values, at most 2^23, of int16 ones 65,535. */
    int32_t shift;
} te_mean_params;

/** @param output  (kept_dims) */
void te_mean_s8(const te_mean_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_mean_params over all but batches and channels, for processors with the DSP extension. */
typedef struct {
    int32_t batches;
    int32_t count; /**< Values of a mean. */
    int32_t channels;
    int32_t offset; /**< Less the input's zero point, times count. */
    int32_t output_zero_point;
    int32_t multiplier;
    int32_t shift;
} te_mean_dsp_params;

/** @param input   (batches, count, channels)
 *  @param output  (batches, channels) */
void te_mean_s8_dsp(const te_mean_dsp_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_mean_params over all but batches and channels, for processors with MVE. */
typedef struct {
    int32_t batches;
    int32_t count; /**< Values of a mean, [1, 255]. */
    int32_t channels;
    int32_t offset;     /**< Less the input's zero point, times count. */
    int32_t multiplier; /**< As in the stream of te_gemm_s8_mve.h, like the next two. */
    int32_t rounding;
    int32_t left_shift;
} te_mean_mve_params;

/** @param input   (batches, count, channels)
 *  @param output  (batches, channels) */
void te_mean_s8_mve(const te_mean_mve_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_mean_s8() of int16 values, whose zero points are 0. */
void te_mean_s16(const te_mean_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_mean_params of int16 values over all but batches and channels, for processors with MVE. */
typedef struct {
    int32_t batches;
    int32_t count; /**< Values of a mean, at most 65,535. */
    int32_t channels;
    int32_t multiplier;
    int32_t left_shift; /**< [-31, -1] */
} te_mean_s16_mve_params;

/** @param input   (batches, count, channels)
 *  @param output  (batches, channels) */
void te_mean_s16_mve(const te_mean_s16_mve_params *params, const int16_t *input, int16_t *output, void *scratch);

/** One value of all along some axes of a tensor. Strides are in elements of the input. */
typedef struct {
    int32_t kept_dims[3];
    int32_t kept_strides[3];
    int32_t reduced_dims[3];
    int32_t reduced_strides[3];
} te_reduce_params;

/** @param output  The largest values, (kept_dims). */
void te_reduce_max_s8(const te_reduce_params *params, const int8_t *input, int8_t *output, void *scratch);

/** @param output  The smallest values, (kept_dims). */
void te_reduce_min_s8(const te_reduce_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Where along one axis a value is. */
typedef struct {
    int32_t outer; /**< Product of the axes before it. */
    int32_t count; /**< Its size. */
    int32_t inner; /**< Product of the axes behind it. */
} te_arg_params;

/** @param input   (outer, count, inner)
 *  @param output  (outer, inner), the first index of the largest value. */
void te_arg_max_s8(const te_arg_params *params, const int8_t *input, int32_t *output, void *scratch);

/** @param input   (outer, count, inner)
 *  @param output  (outer, inner), the first index of the smallest value. */
void te_arg_min_s8(const te_arg_params *params, const int8_t *input, int32_t *output, void *scratch);

/** Pooling; padded positions do not count. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t channels;
    int32_t out_h;
    int32_t out_w;
    int32_t kernel_h;
    int32_t kernel_w; /**< A window covers one position of the input at least, at most 2^23, of int16 ones 65,534. */
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_min;
    int32_t output_max;
} te_pool_params;

/** @param input   (batches, in_h, in_w, channels)
 *  @param output  (batches, out_h, out_w, channels), in rows: the means rounded half away from zero. */
void te_average_pool_s8(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_average_pool_s8() for processors with the DSP extension, of windows of at most 256 positions. */
void te_average_pool_s8_dsp(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_average_pool_s8() for processors with MVE, of windows of at most 256 positions. */
void te_average_pool_s8_mve(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_average_pool_s8() of int16 values. */
void te_average_pool_s16(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_average_pool_s16() for processors with the DSP extension. */
void te_average_pool_s16_dsp(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_average_pool_s16() for processors with MVE, of windows of at most 256 positions. */
void te_average_pool_s16_mve(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch);

/** @param input   (batches, in_h, in_w, channels)
 *  @param output  (batches, out_h, out_w, channels), in rows: the largest values. */
void te_max_pool_s8(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_max_pool_s8() for processors with the DSP extension. */
void te_max_pool_s8_dsp(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_max_pool_s8() for processors with MVE. */
void te_max_pool_s8_mve(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_max_pool_s8() of int16 values. */
void te_max_pool_s16(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_max_pool_s16() for processors with the DSP extension. */
void te_max_pool_s16_dsp(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_max_pool_s16() for processors with MVE. */
void te_max_pool_s16_mve(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch);

/** Softmax over rows; the output has scale 1/256 and zero point -128. */
typedef struct {
    int32_t rows;
    int32_t depth;        /**< Values in a row, at most 4,095. */
    int32_t levels;       /**< [1, 256] */
    const int32_t *exps;  /**< (levels) exp of minus 0, 1, 2, ... input steps, as a fraction of 2^31; 0 further down. */
} te_softmax_params;

/** @param input   (rows, depth)
 *  @param output  (rows, depth); may be the very memory of the input. */
void te_softmax_s8(const te_softmax_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_softmax_s8() for processors with the DSP extension.
 *  @param scratch  1,024 bytes. */
void te_softmax_s8_dsp(const te_softmax_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_softmax_s8() for processors with MVE. */
void te_softmax_s8_mve(const te_softmax_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Softmax over rows of int16 values; the output has scale 2^-15.
 *
 *  A table holds a function at 513 points, 128 apart, of an argument x in [-2^15, 2^15]. */
typedef struct {
    int32_t rows;
    int32_t depth;              /**< Values in a row, at most 65,535. */
    int32_t multiplier;         /**< From input steps to steps of 10 / 65535. */
    int32_t shift;              /**< At most 15. */
    const int16_t *exps;        /**< (513) exp((x - 32767) * 10 / 65535) as a fraction of 2^15. */
    const int16_t *reciprocals; /**< (513) 1 / (1 + (x + 32768) / 65535) as a fraction of 2^15. */
} te_softmax_s16_params;

/** @param input   (rows, depth)
 *  @param output  (rows, depth); may be the very memory of the input. */
void te_softmax_s16(const te_softmax_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_softmax_s16() for processors with the DSP extension, where the shift is at least -14. */
void te_softmax_s16_dsp(const te_softmax_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_softmax_s16() for processors with MVE, where the shift is at least -14. */
void te_softmax_s16_mve(const te_softmax_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** Logarithms of the shares of a softmax. */
typedef struct {
    int32_t rows;
    int32_t depth;  /**< At most 4,095. */
    int32_t levels; /**< Of `exps`, [1, 256]; what lies further below the largest value of its row counts as nothing. */
    int32_t multiplier; /**< From a step of the input to Q5. */
    int32_t shift;
    int32_t reverse_multiplier; /**< And back, */
    int32_t reverse_shift;      /**< [-31, 0] */
    int32_t least;              /**< Below this difference from the largest value, the result is the smallest one. */
    const int32_t *exps;        /**< (levels) As in te_softmax_params. */
} te_log_softmax_params;

/** @param input   (rows, depth)
 *  @param output  (rows, depth), 16 steps to 1, of which 127 is 0; may be the very memory of the input. */
void te_log_softmax_s8(const te_log_softmax_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Values below zero times a slope, which is of int8 and broadcasts. Strides are in elements; a stride of 0 repeats. */
typedef struct {
    int32_t dims[4]; /**< Of the output, which is dense. */
    int32_t strides[4];
    int32_t slope_strides[4];
    int32_t input_zero_point;
    int32_t slope_zero_point;
    int32_t output_zero_point;
    int32_t above_multiplier;
    int32_t above_shift;
    int32_t below_multiplier;
    int32_t below_shift;
    const int8_t *slopes;
} te_prelu_params;

/** @param output  (dims); may be the very memory of the input. */
void te_prelu_s8(const te_prelu_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_prelu_s8() of int16 values, whose zero points are 0. */
void te_prelu_s16(const te_prelu_params *params, const int16_t *input, int16_t *output, void *scratch);

/** Rows over the roots of the sums of their squares. */
typedef struct {
    int32_t rows;
    int32_t depth; /**< At most 33,025. */
    int32_t input_zero_point;
} te_l2_normalization_params;

/** @param input   (rows, depth)
 *  @param output  (rows, depth), 128 steps to 1; may be the very memory of the input. */
void te_l2_normalization_s8(const te_l2_normalization_params *params, const int8_t *input, int8_t *output,
                            void *scratch);

/** A line through zero on each side of it, of int16 values. */
typedef struct {
    int32_t count;
    int32_t above_multiplier;
    int32_t above_shift;
    int32_t below_multiplier;
    int32_t below_shift;
    int32_t sign_before; /**< 1 or -1, by which a value below zero is multiplied before it is rescaled, */
    int32_t sign_after;  /**< and the result. */
} te_sided_s16_params;

/** @param input   (count)
 *  @param output  (count); may be the very memory of the input. */
void te_sided_s16(const te_sided_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** Any function of one value. */
typedef struct {
    int32_t count;
    const int8_t *table; /**< (256) The outputs of -128, -127, ..., 127. */
} te_table_params;

/** @param input   (count)
 *  @param output  (count); may be the very memory of the input. */
void te_table_s8(const te_table_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_table_s8() for processors with the DSP extension. */
void te_table_s8_dsp(const te_table_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_table_s8() for processors with MVE. */
void te_table_s8_mve(const te_table_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Another quantisation of the same values, within a clamp range. */
typedef struct {
    int32_t count;
    int32_t input_zero_point;  /**< 0 where the input is int16. */
    int32_t output_zero_point; /**< 0 where the output is int16. */
    int32_t multiplier;
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
} te_rescale_params;

/** @param input   (count)
 *  @param output  (count); may be the very memory of the input. */
void te_rescale_s16(const te_rescale_params *params, const int16_t *input, int16_t *output, void *scratch);

/** te_rescale_s16() for processors with MVE. */
void te_rescale_s16_mve(const te_rescale_params *params, const int16_t *input, int16_t *output, void *scratch);

/** @param input   (count)
 *  @param output  (count) */
void te_rescale_s8_s16(const te_rescale_params *params, const int8_t *input, int16_t *output, void *scratch);

/** te_rescale_s8_s16() for processors with MVE. */
void te_rescale_s8_s16_mve(const te_rescale_params *params, const int8_t *input, int16_t *output, void *scratch);

/** @param input   (count)
 *  @param output  (count) */
void te_rescale_s16_s8(const te_rescale_params *params, const int16_t *input, int8_t *output, void *scratch);

/** te_rescale_s16_s8() for processors with MVE. */
void te_rescale_s16_s8_mve(const te_rescale_params *params, const int16_t *input, int8_t *output, void *scratch);

/** A sigmoid or a hyperbolic tangent of int16 values; the output has scale 2^-15. */
typedef struct {
    int32_t count;
    int32_t multiplier;    /**< [1, 32767]; the argument, times it and 2^-shift, is in steps of 1 / 12288. */
    int32_t shift;         /**< [0, 30] */
    const uint16_t *table; /**< (256) The sigmoid of about 0, 1/24, 2/24, ... as a fraction of 2^16. */
} te_sigmoid_s16_params;

/** @param input   (count)
 *  @param output  (count); may be the very memory of the input. */
void te_logistic_s16(const te_sigmoid_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** @param input   (count)
 *  @param output  (count); may be the very memory of the input. */
void te_tanh_s16(const te_sigmoid_s16_params *params, const int16_t *input, int16_t *output, void *scratch);

/** What LSTM kernels do with the sums of their gates, in the order forget, input, candidate, output. */
typedef struct {
    int32_t batches;
    int32_t steps;
    int32_t units;
    int32_t batch_rows; /**< From a batch to the next one, in rows of inputs and outputs. */
    int32_t step_rows;  /**< From a step to the next one. */
    int32_t candidate_is_tanh; /**< 0: the candidate's activation is a sigmoid too. */
    int32_t tanh_multiplier;   /**< Of the cell state, for its hyperbolic tangent: as in te_sigmoid_s16_params. */
    int32_t tanh_shift;
    int32_t forget_multiplier; /**< Of a product of forget gate and cell state. */
    int32_t forget_shift;
    int32_t input_multiplier; /**< Of a product of input gate and candidate. */
    int32_t input_shift;
    int32_t hidden_multiplier; /**< Of a product of output gate and tangent. */
    int32_t hidden_shift;
    int32_t state_min; /**< The least cell state, */
    int32_t state_max; /**< and the greatest. */
    const uint16_t *table; /**< (256) As in te_sigmoid_s16_params. */
} te_lstm_cell;

typedef struct {
    te_lstm_cell cell;
    int32_t in_c;
    int32_t hidden_zero_point;
    const int8_t *input_weights;     /**< (4, units, in_c) */
    const int8_t *recurrent_weights; /**< (4, units, units) */
    const int32_t *input_bias;       /**< (4, units) The zero point of the input in it. */
    const int32_t *recurrent_bias;   /**< (4, units) That of the hidden state. */
    int32_t input_multipliers[4];    /**< To steps of 2^-12. */
    int32_t input_shifts[4];
    int32_t recurrent_multipliers[4];
    int32_t recurrent_shifts[4];
} te_lstm_s8_params;

/** A long short-term memory without peepholes, projection and normalisation.
 *  @param input         (batches * steps, in_c), batch or step first as the cell says
 *  @param output        (batches * steps, units)
 *  @param scratch       4 * units int16_t.
 *  @param hidden_state  (batches, units) Kept from one call to the next.
 *  @param cell_state    (batches, units) Likewise. */
void te_lstm_s8(const te_lstm_s8_params *params, const int8_t *input, int8_t *output, void *scratch,
                int8_t *hidden_state, int16_t *cell_state);

/** te_lstm_s8() in instructions of the DSP extension. */
void te_lstm_s8_dsp(const te_lstm_s8_params *params, const int8_t *input, int8_t *output, void *scratch,
                    int8_t *hidden_state, int16_t *cell_state);

typedef struct {
    te_lstm_cell cell;
    int32_t in_c;
    const int8_t *input_weights;     /**< (4, units, in_c) */
    const int8_t *recurrent_weights; /**< (4, units, units) */
    const int64_t *input_bias;       /**< (4, units) */
    int32_t input_multipliers[4];    /**< To steps of 2^-12, for sums of 64 bits. */
    int32_t input_shifts[4];
    int32_t recurrent_multipliers[4];
    int32_t recurrent_shifts[4];
} te_lstm_s16_params;

/** te_lstm_s8() of int16 values. */
void te_lstm_s16(const te_lstm_s16_params *params, const int16_t *input, int16_t *output, void *scratch,
                 int16_t *hidden_state, int16_t *cell_state);

/** A rank-decomposed layer over the newest values of some filters. */
typedef struct {
    int32_t batches;
    int32_t in_c;
    int32_t filters; /**< rank * units */
    int32_t rank;
    int32_t memory;  /**< Values of each filter. */
    int32_t state_zero_point;
    int32_t output_zero_point;
    int32_t feature_multiplier; /**< From the input's sums to the states. */
    int32_t feature_shift;
    int32_t output_multiplier;
    int32_t output_shift;
    const int8_t *feature_weights; /**< (filters, in_c) */
    const int32_t *feature_bias;   /**< (filters) The zero point of the input. */
    const int8_t *time_weights;    /**< (filters, memory) */
    const int32_t *bias;           /**< (units) */
} te_svdf_params;

/** @param input   (batches, in_c)
 *  @param output  (batches, units)
 *  @param state   (batches, filters, memory) Kept from one call to the next, the newest value last. */
void te_svdf_s8(const te_svdf_params *params, const int8_t *input, int8_t *output, void *scratch, int8_t *state);

/** te_svdf_params with weights over time of int16; the states have no zero point. */
typedef struct {
    int32_t batches;
    int32_t in_c;
    int32_t filters;
    int32_t rank;
    int32_t memory;
    int32_t output_zero_point;
    int32_t feature_multiplier;
    int32_t feature_shift;
    int32_t output_multiplier;
    int32_t output_shift;
    const int8_t *feature_weights;
    const int32_t *feature_bias;
    const int16_t *time_weights;
    const int32_t *bias;
} te_svdf_s16_params;

/** te_svdf_s8() of int16 states. */
void te_svdf_s16(const te_svdf_s16_params *params, const int8_t *input, int8_t *output, void *scratch, int16_t *state);

/** Between floats and quantised values: real = scale * (value - zero_point). */
typedef struct {
    int32_t count;
    float scale;
    int32_t zero_point; /**< [-128, 127]; 0 where the values are int16. */
} te_quantize_params;

/** Rounds halves away from zero and limits the result to int8; a NaN becomes -128.
 *  @param input   (count)
 *  @param output  (count); may begin where the input does, or lower. */
void te_quantize_f32_s8(const te_quantize_params *params, const float *input, int8_t *output, void *scratch);

/** te_quantize_f32_s8() to int16. */
void te_quantize_f32_s16(const te_quantize_params *params, const float *input, int16_t *output, void *scratch);

/** @param input   (count)
 *  @param output  (count); apart from the input. */
void te_dequantize_s8_f32(const te_quantize_params *params, const int8_t *input, float *output, void *scratch);

/** te_dequantize_s8_f32() of int16. */
void te_dequantize_s16_f32(const te_quantize_params *params, const int16_t *input, float *output, void *scratch);

/** Quotient of two tensors of floats. Strides are in elements; a stride of 0 repeats. */
typedef struct {
    int32_t dims[4]; /**< Of the output, which is dense. */
    int32_t strides1[4];
    int32_t strides2[4];
} te_div_f32_params;

/** @param input1  Dividend.
 *  @param input2  Divisor.
 *  @param output  input1 / input2, (dims); may be the very memory of an operand that is not broadcast. */
void te_div_f32(const te_div_f32_params *params, const float *input1, const float *input2, float *output,
                void *scratch);

/** The boxes of a single-shot detector from its anchors, without those that another box covers (non-maximum suppression).
 *
 *  With y, x, h, w of an anchor, a box is centred at y + y[code] * h and x + x[code] * w, and reaches half_h[code] * h and
 *  half_w[code] * w to either side. The tables hold a double for each code, that of -128 first. */
typedef struct {
    int32_t anchor_count;
    int32_t box_numbers;      /**< Codes of a box, of which the first 4 are read: y, x, h, w. */
    int32_t classes;          /**< Without the background. */
    int32_t score_columns;    /**< Scores of an anchor: of each class; of the background before them where it is one more. */
    int32_t max_detections;   /**< [1, rows] */
    int32_t rows;             /**< Of the output. */
    int32_t class_detections; /**< Each class is suppressed by itself, and has so many detections at most; 0: each anchor has
                                   its best class alone, and covers the others of any class. */
    int32_t least_code;       /**< Scores below it count as nothing; [-128, 128] */
    int32_t score_zero_point;
    float score_scale;
    float iou_threshold;      /**< Of the intersection over the union above which a box covers one of a lower score. */
    const float *anchors;     /**< (anchor_count, 4) y, x, h, w of each; h and w at least 0. */
    const double *y;          /**< (256) */
    const double *x;          /**< (256) */
    const double *half_h;     /**< (256) */
    const double *half_w;     /**< (256) */
} te_detection_postprocess_params;

/** The largest score comes first, of equal ones the first class, of that the first anchor.
 *  @param input1   (anchor_count, box_numbers) codes of boxes
 *  @param input2   (anchor_count, score_columns) codes of scores
 *  @param output   (rows, 4) y_min, x_min, y_max, x_max; (rows) classes; (rows) scores; (1) how many are detections. What
 *                  is behind them is 0.
 *  @param scratch  anchor_count bytes where class_detections is 0 and there are several classes. */
void te_detection_postprocess_s8(const te_detection_postprocess_params *params, const int8_t *input1,
                                 const int8_t *input2, float *output, void *scratch);

/** A copy in another order: transposition, slices, repetition. Strides are in elements of the input. Value after value is
 *  read and written, or where the last stride is 1, run after run; runs below 4 bytes, in any order in the last two loops. */
typedef struct {
    int32_t dims[6];
    int32_t strides[6]; /**< May be negative; 0 repeats. */
    int32_t start;      /**< Index in the input of the first element. */
} te_strided_copy_params;

/** @param output  (dims) */
void te_strided_copy_s8(const te_strided_copy_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_strided_copy_s8() of int16 values. */
void te_strided_copy_s16(const te_strided_copy_params *params, const int16_t *input, int16_t *output, void *scratch);

/** Rows and columns of images, each taken from where a list says: nearest neighbours, mirrored borders, lookups. All of
 *  the input that a row is made of is read before the next row is written. */
typedef struct {
    int32_t images;
    int32_t image;  /**< Elements of an image of the input. */
    int32_t out_h;
    int32_t out_w;
    int32_t values; /**< Of a pixel. */
    const int32_t *rows;    /**< (out_h) Index in an image of the input of the row's first element. */
    const int32_t *columns; /**< (out_w) Index in a row of the input of the pixel's first element. */
} te_gather_params;

/** @param input   (images, image)
 *  @param output  (images, out_h, out_w, values) */
void te_gather_s8(const te_gather_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_gather_s8() of int16 values. */
void te_gather_s16(const te_gather_params *params, const int16_t *input, int16_t *output, void *scratch);

/** Images of another size; each value lies between four of the input, in shares of 1024. All of the input that a row is
 *  made of is read before the next row is written. */
typedef struct {
    int32_t images;
    int32_t image; /**< Elements of an image of the input. */
    int32_t out_h;
    int32_t out_w;
    int32_t channels;
    const int32_t *rows;          /**< (out_h, 2) Where the rows above and below begin in an image of the input. */
    const int32_t *row_shares;    /**< (out_h) [0, 1023] of the one below. */
    const int32_t *columns;       /**< (out_w, 2) Where the pixels to the left and the right begin in a row. */
    const int32_t *column_shares; /**< (out_w) [0, 1023] of the one to the right. */
} te_resize_bilinear_params;

/** @param input   (images, image)
 *  @param output  (images, out_h, out_w, channels) */
void te_resize_bilinear_s8(const te_resize_bilinear_params *params, const int8_t *input, int8_t *output,
                           void *scratch);

/** A copy into a larger tensor that is filled with one value. Strides are in elements of the output. */
typedef struct {
    int32_t dims[6];
    int32_t strides[6]; /**< The last is 1. */
    int32_t start;      /**< Index in the output of the first element. */
    int32_t count;      /**< Elements of the output. */
    int32_t value;      /**< Of the elements' type. */
} te_pad_params;

/** @param input   (dims)
 *  @param output  (count) */
void te_pad_s8(const te_pad_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_pad_s8() of int16 values. */
void te_pad_s16(const te_pad_params *params, const int16_t *input, int16_t *output, void *scratch);

/** Several tensors side by side along an axis, some of which may be constant. */
typedef struct {
    int32_t parts;
    int32_t outer;         /**< Product of the dimensions before the axis. */
    const int32_t *inner;  /**< (parts) Product of the dimensions from the axis on, a part each. */
    const void *constants; /**< The parts that are constant one after the other, of the elements' type; or NULL. */
    const int32_t *starts; /**< (parts) Where in `constants` a part begins, -1 for an input; NULL if all are inputs. */
} te_concatenation_params;

/** @param inputs  a pointer for each part that is not constant, to (outer, inner[i])
 *  @param output  (outer, sum of inner) */
void te_concatenation_s8(const te_concatenation_params *params, const int8_t *const *inputs, int8_t *output,
                         void *scratch);

/** te_concatenation_s8() of int16 values. */
void te_concatenation_s16(const te_concatenation_params *params, const int16_t *const *inputs, int16_t *output,
                          void *scratch);

/** te_conv2d_params for WebAssembly's vectors. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t group_c;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t line;             /**< Values of a row of the input, padding included. */
    int32_t shift;            /**< Of all channels, see te_wasm.h. */
    int32_t group_bytes;      /**< Of a group's filters in `packed`. */
    const int8_t *packed;     /**< Filters in the order of te_gemm_wasm.h, group after group. */
    const int32_t *constants; /**< Those of te_wasm.h, of each group. */
} te_conv2d_wasm_params;

/** @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c), in rows.
 *  @param scratch  A pointer for each run: each row of taps, or each tap with groups or dilated columns; then
 *                  2 * line * (the rows from the first tap to the last) + 4 bytes. */
void te_conv2d_s8_wasm(const te_conv2d_wasm_params *params, const int8_t *input, int8_t *output, void *scratch);

/** te_conv2d_params of a 3x3 kernel without strides, dilation and groups by Winograd's algorithm, for WebAssembly's
 *  vectors; channels of input and output are multiples of 8. */
typedef struct {
    te_window window;
    int32_t out_c;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t shift;            /**< Of all channels, see te_wasm.h. */
    const int16_t *packed;    /**< Transformed filters: (out_c / 8, 16 positions, in_c / 2, 8 channels, 2). */
    const int32_t *constants; /**< Those of te_wasm.h, with four times the biases. */
} te_conv2d_winograd_wasm_params;

/** @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, out_c), by four tiles of 2x2 pixels, row by row.
 *  @param scratch  2048 + 129 * in_c bytes. */
void te_conv2d_winograd_s8_wasm(const te_conv2d_winograd_wasm_params *params, const int8_t *input, int8_t *output,
                                void *scratch);

/** te_depthwise_conv2d_params of one filter for each of 8 channels or more, for WebAssembly's vectors. */
typedef struct {
    te_window window;
    int32_t input_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t taps;             /**< Of the window, rounded up to twos. */
    int32_t shift;            /**< Of all channels, see te_wasm.h. */
    const int8_t *packed;     /**< For each eight channels, and the last eight once more where they are not a multiple:
                                   for each two taps the two weights of each channel. */
    const int32_t *constants; /**< Those of te_wasm.h, of the same channels. */
} te_depthwise_conv2d_wasm_params;

/** @param input    (batches, in_h, in_w, in_c)
 *  @param output   (batches, out_h, out_w, in_c), in rows.
 *  @param scratch  A pointer for each of `taps`, and in_c bytes. */
void te_depthwise_conv2d_s8_wasm(const te_depthwise_conv2d_wasm_params *params, const int8_t *input, int8_t *output,
                                 void *scratch);

/** te_fully_connected_params for WebAssembly's vectors; 1x1 convolutions are the same over their pixels. */
typedef struct {
    int32_t batches;
    int32_t in_c;
    int32_t out_c;
    int32_t output_min;
    int32_t output_max;
    int32_t shift;            /**< Of all channels, see te_wasm.h. */
    const int8_t *packed;     /**< Filters in the order of te_gemm_wasm.h. */
    const int32_t *constants; /**< Those of te_wasm.h. */
} te_fully_connected_wasm_params;

/** @param input    (batches, in_c)
 *  @param output   (batches, out_c), by four rows.
 *  @param scratch  8 * (in_c rounded up to twos) bytes. */
void te_fully_connected_s8_wasm(const te_fully_connected_wasm_params *params, const int8_t *input, int8_t *output,
                                void *scratch);

/** te_add_params of two dense activations, the second of which has the larger scale, for WebAssembly's vectors. */
typedef struct {
    int32_t count;
    int32_t input1_zero_point;
    int32_t input2_zero_point;
    int32_t output_zero_point;
    int32_t input1_multiplier;
    int32_t input1_shift; /**< [-31, 0] */
    int32_t output_multiplier;
    int32_t output_shift; /**< [-22, 0] */
    int32_t output_min;
    int32_t output_max;
} te_add_wasm_params;

/** @param input1  (count)
 *  @param input2  (count)
 *  @param output  (count) */
void te_add_s8_wasm(const te_add_wasm_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                    void *scratch);

#ifdef __cplusplus
}
#endif

#endif /* TE_KERNELS_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_kernels.h
 *  INT8 kernels: one function and one struct of constants an operator.
 *
 *  Every kernel is called as `kernel(&params, inputs..., output, scratch)`. Tensors are int8_t, dense, row-major with
 *  the channel last (NHWC for images). Everything that is known at compile time is in the params, which the compiler
 *  prints as `static const` data; the kernels keep no state. Inputs, output and scratch do not overlap unless a kernel
 *  says that they may. `scratch` is NULL for kernels that document no use of it.
 *
 *  Zero points are in [-128, 127]; -128 <= output_min <= output_max <= 127. A factor is a pair of a multiplier in
 *  [0, 2^31) and a shift in [-31, 31], applied as te_requantise.h says. */
#ifndef TE_KERNELS_H
#define TE_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Convolution with zero padding in the real domain, optionally in groups. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t out_c;
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t pad_top;
    int32_t pad_left;
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
 *  @param output  (batches, out_h, out_w, out_c) */
void te_conv2d_s8(const te_conv2d_params *params, const int8_t *input, int8_t *output, void *scratch);

/** Convolution of each input channel with its own multiplier_c filters. */
typedef struct {
    int32_t batches;
    int32_t in_h;
    int32_t in_w;
    int32_t in_c;
    int32_t out_h;
    int32_t out_w;
    int32_t multiplier_c; /**< Output channels that one input channel makes. */
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t stride_h;
    int32_t stride_w;
    int32_t dilation_h;
    int32_t dilation_w;
    int32_t pad_top;
    int32_t pad_left;
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
 *  @param output  (batches, out_h, out_w, in_c * multiplier_c) */
void te_depthwise_conv2d_s8(const te_depthwise_conv2d_params *params, const int8_t *input, int8_t *output,
                            void *scratch);

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
 *  @param output  (batches, out_c) */
void te_fully_connected_s8(const te_fully_connected_params *params, const int8_t *input, int8_t *output,
                           void *scratch);

#ifdef __cplusplus
}
#endif

#endif /* TE_KERNELS_H */

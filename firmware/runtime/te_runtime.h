/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_runtime.h
 *  One C interface to a model, whichever runtime runs it: ahead-of-time C (aot/) or TFLite Micro (tflm/).
 *
 *  Memory is static. The inputs may be overwritten by an inference: fill them again before each one. */
#ifndef TE_RUNTIME_H
#define TE_RUNTIME_H

#include <stdint.h>

#include "te_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TE_MAX_RANK 6

/** Of a tensor's values. */
typedef enum {
    TE_TYPE_INT8,
    TE_TYPE_UINT8,
    TE_TYPE_BOOL, /**< A byte, 0 or 1. */
    TE_TYPE_INT16,
    TE_TYPE_INT32,
    TE_TYPE_INT64,
    TE_TYPE_FLOAT32
} te_type;

/** Shape and quantisation of one of the model's inputs or outputs: real = scale * (value - zero_point). */
typedef struct {
    te_type type;
    int32_t rank;
    int32_t dims[TE_MAX_RANK]; /**< The batch of 1 included; NHWC for images. */
    int32_t bytes;
    float scale;        /**< 0 where the values are no quantised reals. */
    int32_t zero_point; /**< Of an int8 tensor in [-128, 127], of uint8 in [0, 255]; else 0. */
} te_tensor_info;

typedef struct {
    const char *name;
    const char *op;
    const char *kernel; /**< The function that runs it. */
    uint32_t macs;
} te_layer_info;

typedef struct {
    const char *name;
    const char *runtime; /**< "aot" or "tflm" */
    /** Of the kernels: for aot as `tinyedge compile --instruction-set` has it, for tflm "reference" or "cmsis_nn". */
    const char *instruction_set;
    const char *sha256;  /**< Of the .tflite file, 64 hex digits. */
    uint32_t arena_bytes; /**< For tflm what its interpreter uses of it, known after te_runtime_init(). */
    uint32_t state_bytes; /**< What lasts from one inference to the next; for tflm it is part of the arena, and 0. */
    int32_t input_count;
    const te_tensor_info *inputs; /**< input_count of them. */
    int32_t output_count;
    const te_tensor_info *outputs; /**< output_count of them. */
    int32_t layer_count;
    const te_layer_info *layers; /**< layer_count entries, in execution order; NULL unless built with TE_PROFILE. */
} te_model_info;

/** Called after each layer with the layer's index, for profiles: in images built with TE_PROFILE, else never. */
typedef void (*te_layer_hook)(void *context, int32_t layer);

/** Prepares the model; call once before anything else.
 *  @return TE_ERR_SIZE where the arena is too small, TE_ERR_UNSUPPORTED where the runtime lacks something of the model. */
te_status te_runtime_init(void);

/** Never NULL; valid before te_runtime_init(). */
const te_model_info *te_runtime_info(void);

/** @param index  Of an input, below info()->input_count.
 *  @return Its memory to fill, with the alignment of its values. */
void *te_runtime_input(int32_t index);

/** Makes the model forget all earlier inferences, where it keeps anything of them. */
te_status te_runtime_reset(void);

/** Runs one inference.
 *  @param hook     Called after each layer if built with TE_PROFILE; NULL for none.
 *  @param context  Passed to the hook. */
te_status te_runtime_invoke(te_layer_hook hook, void *context);

/** @param index  Of an output, below info()->output_count.
 *  @return Its values, valid until the next inference. */
const void *te_runtime_output(int32_t index);

#ifdef __cplusplus
}
#endif

#endif /* TE_RUNTIME_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_runtime.h
 *  One C interface to a model, whichever runtime runs it: ahead-of-time C (aot/) or TFLite Micro (tflm/).
 *
 *  Memory is static. The input buffer may be overwritten by an inference: fill it again before each one. */
#ifndef TE_RUNTIME_H
#define TE_RUNTIME_H

#include <stdint.h>

#include "te_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TE_MAX_RANK 4

/** Shape and quantisation of the model's input or output: real = scale * (value - zero_point). */
typedef struct {
    int32_t rank;
    int32_t dims[TE_MAX_RANK]; /**< The batch of 1 included; NHWC for images. */
    int32_t bytes;
    float scale;
    int32_t zero_point; /**< [-128, 127] */
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
    te_tensor_info input;
    te_tensor_info output;
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

/** info()->input.bytes bytes to fill. */
int8_t *te_runtime_input(void);

/** Runs one inference.
 *  @param hook     Called after each layer if built with TE_PROFILE; NULL for none.
 *  @param context  Passed to the hook. */
te_status te_runtime_invoke(te_layer_hook hook, void *context);

/** info()->output.bytes bytes, valid until the next inference. */
const int8_t *te_runtime_output(void);

#ifdef __cplusplus
}
#endif

#endif /* TE_RUNTIME_H */

/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_runtime_tflm.cc
 *  te_runtime.h over TFLite Micro's interpreter, linked from upstream's library.
 *
 *  C++ without exceptions, run-time types, heap and static constructors: what has a constructor is made in static
 *  memory by te_runtime_init() and never destroyed. */
#include <new>

#include "te_model.h"
#include "te_runtime.h"
#include "te_tflm_model.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

alignas(tflite::MicroInterpreter) unsigned char interpreter_memory[sizeof(tflite::MicroInterpreter)];
tflite::MicroInterpreter *interpreter;

#define TENSOR_INFO(index, function, type, bytes, scale, zero_point, rank, ...) \
    {TE_TYPE_##type, rank, {__VA_ARGS__}, bytes, scale, zero_point},

const te_tensor_info inputs[] = {TE_MODEL_INPUTS(TENSOR_INFO)};
const te_tensor_info outputs[] = {TE_MODEL_OUTPUTS(TENSOR_INFO)};
const int32_t input_count = sizeof inputs / sizeof inputs[0];
const int32_t output_count = sizeof outputs / sizeof outputs[0];

/* In the order of te_model_info's members; C++17 has no other way to name them. */
te_model_info info = {
    TE_MODEL_NAME,
    "tflm",
    TE_TFLM_KERNELS,
    TE_MODEL_SHA256,
    0, /* The arena, which te_runtime_init() tells. */
    0, /* States lie in the arena. */
    input_count,
    inputs,
    output_count,
    outputs,
    TE_MODEL_LAYER_COUNT,
    nullptr,
};

bool is_as_told(const TfLiteTensor *tensor, const te_tensor_info &told) {
    static const TfLiteType types[] = {kTfLiteInt8,  kTfLiteUInt8, kTfLiteBool,   kTfLiteInt16,
                                       kTfLiteInt32, kTfLiteInt64, kTfLiteFloat32}; /* In te_type's order. */
    return tensor != nullptr && tensor->type == types[told.type] && tensor->bytes == static_cast<size_t>(told.bytes);
}

} // namespace

te_status te_runtime_init(void) {
    info.arena_bytes = te_tflm_arena_bytes;
    const tflite::Model *model = tflite::GetModel(te_tflm_model);
    const tflite::MicroOpResolver *resolver = te_tflm_resolver();
    if (model->version() != TFLITE_SCHEMA_VERSION || resolver == nullptr) {
        return TE_ERR_UNSUPPORTED;
    }
    interpreter = new (interpreter_memory)
        tflite::MicroInterpreter(model, *resolver, te_tflm_arena, te_tflm_arena_bytes);
    if (interpreter->AllocateTensors() != kTfLiteOk) {
        return TE_ERR_SIZE;
    }
    /* A library of another ABI than these headers would show here, if not before. */
    for (int32_t i = 0; i < input_count; i++) {
        if (!is_as_told(interpreter->input(static_cast<size_t>(i)), inputs[i])) {
            return TE_ERR_UNSUPPORTED;
        }
    }
    for (int32_t i = 0; i < output_count; i++) {
        if (!is_as_told(interpreter->output(static_cast<size_t>(i)), outputs[i])) {
            return TE_ERR_UNSUPPORTED;
        }
    }
    info.arena_bytes = static_cast<uint32_t>(interpreter->arena_used_bytes());
    return TE_OK;
}

const te_model_info *te_runtime_info(void) {
    return &info;
}

void *te_runtime_input(int32_t index) {
    return interpreter->input(static_cast<size_t>(index))->data.data;
}

/* The interpreter's own reset zeroes variables, whatever CALL_ONCE gave them, so it is another one. */
te_status te_runtime_reset(void) {
    return te_runtime_init();
}

/* A library without error strings calls no profiler, so there is nothing that could call the hook. */
te_status te_runtime_invoke(te_layer_hook, void *) {
    return interpreter->Invoke() == kTfLiteOk ? TE_OK : TE_ERR_STATE;
}

const void *te_runtime_output(int32_t index) {
    return interpreter->output(static_cast<size_t>(index))->data.data;
}

/* The vtables of the library's abstract classes point to it. Nothing calls it. */
extern "C" void __cxa_pure_virtual(void) {
    for (;;) {
    }
}

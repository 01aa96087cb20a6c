/* SPDX-License-Identifier: Apache-2.0 */
#include "te_protocol.h"

#include <string.h>

#include "te_crc32.h"
#include "te_round_f32.h"
#include "te_runtime.h"
#include "te_text.h"

#define TE_DEFAULT_WARMUPS 10u
#define TE_BYTES_PER_PRINTED_LINE 8u
#define TE_SHA256_SHOWN 16
#define TE_THOUSAND 1000u
#define TE_CALIBRATION_COUNTS 16u
#define TE_LOOK_BITS 16
#define TE_NO_LAYER (-1)

/* --- Answers ------------------------------------------------------------------------------------------------------ */

static void te_write(const te_protocol *protocol, const char *text) {
    te_put_text(protocol->config.put, text);
}

static void te_write_line(const te_protocol *protocol, const char *text) {
    te_write(protocol, text);
    te_write(protocol, "\r\n");
}

static void te_write_number_line(const te_protocol *protocol, const char *before, uint64_t value, const char *after) {
    te_write(protocol, before);
    te_put_unsigned(protocol->config.put, value);
    te_write_line(protocol, after);
}

static void te_write_error(const te_protocol *protocol, const char *text) {
    te_write(protocol, "e-[");
    te_write(protocol, text);
    te_write_line(protocol, "]");
}

static void te_write_lap(const te_protocol *protocol, uint64_t microseconds) {
    te_write_number_line(protocol, "m-lap-us-", microseconds, "");
}

/* --- Words and numbers of a command ------------------------------------------------------------------------------- */

/* Cuts the next word off the front of `*rest`; empty where there is none. */
static char *te_next_word(char **rest) {
    char *word = *rest;
    while (*word == ' ') {
        word++;
    }
    char *end = word;
    while (*end != ' ' && *end != '\0') {
        end++;
    }
    *rest = end;
    if (*end == ' ') {
        *end = '\0';
        *rest = end + 1;
    }
    return word;
}

static bool te_parse_unsigned(const char *word, uint32_t *value) {
    uint64_t sum = 0;
    if (*word == '\0') {
        return false;
    }
    for (; *word != '\0'; word++) {
        if (*word < '0' || *word > '9') {
            return false;
        }
        sum = sum * 10u + (uint64_t)(*word - '0');
        if (sum > UINT32_MAX) {
            return false;
        }
    }
    *value = (uint32_t)sum;
    return true;
}

/* 0 to 15, or -1. */
static int32_t te_hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return -1;
}

/* --- Inference ---------------------------------------------------------------------------------------------------- */

/* The bytes are little-endian, whatever the processor is. */
static float te_read_float(const uint8_t bytes[4]) {
    const uint32_t bits = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    float real;
    memcpy(&real, &bits, sizeof real);
    return real;
}

static int8_t te_quantise(float real, const te_tensor_info *input) {
    const int32_t value = te_round_f32(real / input->scale) + input->zero_point;
    return (int8_t)(value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value);
}

static uint32_t te_bytes_of(const te_tensor_info *tensors, int32_t count) {
    uint32_t bytes = 0;
    for (int32_t i = 0; i < count; i++) {
        bytes += (uint32_t)tensors[i].bytes;
    }
    return bytes;
}

static uint32_t te_needed_bytes(const te_protocol *protocol) {
    const te_model_info *model = te_runtime_info();
    const uint32_t bytes = te_bytes_of(model->inputs, model->input_count);
    return protocol->encoding == TE_DB_FLOAT32 ? bytes * 4u : bytes;
}

/* The runtime may overwrite its input while it runs, so every inference starts from the kept bytes. */
static void te_fill_inputs(const te_protocol *protocol) {
    const te_model_info *model = te_runtime_info();
    const te_tensor_info *input = &model->inputs[0];
    const uint8_t *db = protocol->config.db;
    int8_t *values;
    switch (protocol->encoding) {
    case TE_DB_UINT8:
        values = (int8_t *)te_runtime_input(0);
        for (int32_t i = 0, channel = 0; i < input->bytes; i++) {
            values[i] = protocol->config.pixels != NULL ? protocol->config.pixels[channel][db[i]] : (int8_t)(db[i] - 128);
            channel = channel + 1 == TE_PIXEL_CHANNELS ? 0 : channel + 1;
        }
        break;
    case TE_DB_FLOAT32:
        values = (int8_t *)te_runtime_input(0);
        for (int32_t i = 0; i < input->bytes; i++) {
            values[i] = te_quantise(te_read_float(db + 4 * i), input);
        }
        break;
    case TE_DB_RAW:
    default:
        for (int32_t i = 0; i < model->input_count; db += model->inputs[i].bytes, i++) {
            memcpy(te_runtime_input(i), db, (size_t)model->inputs[i].bytes);
        }
        break;
    }
}

static bool te_input_is_loaded(const te_protocol *protocol) {
    const uint32_t needed = te_needed_bytes(protocol);
    if (protocol->stored_bytes == needed && protocol->expected_bytes == needed) {
        return true;
    }
    te_write(protocol, "e-[");
    te_put_unsigned(protocol->config.put, protocol->stored_bytes);
    te_write(protocol, " input bytes are loaded but the model takes ");
    te_put_unsigned(protocol->config.put, needed);
    te_write_line(protocol, ": use db load first]");
    return false;
}

static te_status te_nothing(te_layer_hook hook, void *context) {
    (void)hook;
    (void)context;
    return TE_OK;
}

/* Counts what one call of `invoke` takes. The same code measures the model and nothing at all, which gives the
 * overhead; volatile keeps the compiler from seeing through either call. */
static uint64_t te_measure(const te_protocol *protocol, te_status (*volatile invoke)(te_layer_hook, void *),
                           te_status *status) {
    uint64_t (*const count)(void) = protocol->config.count;
    const uint64_t start = count();
    *status = invoke(NULL, NULL);
    return count() - start;
}

static bool te_run_inference(te_protocol *protocol) {
    te_status status;
    te_fill_inputs(protocol);
    const uint64_t count = te_measure(protocol, te_runtime_invoke, &status);
    if (status != TE_OK) {
        protocol->has_output = false;
        protocol->has_count = false;
        te_write_number_line(protocol, "e-[the inference failed with status ", (uint64_t)status, "]");
        return false;
    }
    protocol->count = count > protocol->count_overhead ? count - protocol->count_overhead : 0u;
    protocol->has_output = true;
    protocol->has_count = true;
    return true;
}

static int32_t te_value_bytes(te_type type) {
    switch (type) {
    case TE_TYPE_INT16:
        return 2;
    case TE_TYPE_INT32:
    case TE_TYPE_FLOAT32:
        return 4;
    case TE_TYPE_INT64:
        return 8;
    case TE_TYPE_INT8:
    case TE_TYPE_UINT8:
    case TE_TYPE_BOOL:
    default:
        return 1;
    }
}

/* Of an integer that is no quantised real, the integer. */
static float te_real(const te_tensor_info *tensor, int32_t value) {
    return tensor->scale > 0.0f ? tensor->scale * (float)(value - tensor->zero_point) : (float)value;
}

static int32_t te_saturate(int64_t value) {
    return (int32_t)(value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : value);
}

static float te_output_value(int32_t output, int32_t index) {
    const te_tensor_info *info = &te_runtime_info()->outputs[output];
    const void *values = te_runtime_output(output);
    switch (info->type) {
    case TE_TYPE_FLOAT32:
        return ((const float *)values)[index];
    case TE_TYPE_INT64:
        return te_real(info, te_saturate(((const int64_t *)values)[index]));
    case TE_TYPE_INT32:
        return te_real(info, ((const int32_t *)values)[index]);
    case TE_TYPE_INT16:
        return te_real(info, ((const int16_t *)values)[index]);
    case TE_TYPE_UINT8:
    case TE_TYPE_BOOL:
        return te_real(info, ((const uint8_t *)values)[index]);
    case TE_TYPE_INT8:
    default:
        return te_real(info, ((const int8_t *)values)[index]);
    }
}

/* ad01's result is one number, the mean of the squared differences between the autoencoder's input, before its
 * quantisation, and its output. It is kept, because `db` may change the input before `results` asks for it. */
static void te_keep_score(te_protocol *protocol) {
    const int32_t values = te_runtime_info()->outputs[0].bytes;
    float sum = 0.0f;
    if (protocol->encoding != TE_DB_FLOAT32) {
        return;
    }
    for (int32_t i = 0; i < values; i++) {
        const float difference = te_output_value(0, i) - te_read_float(protocol->config.db + 4 * i);
        sum += difference * difference;
    }
    protocol->score = sum / (float)values;
}

static bool te_output_is_there(const te_protocol *protocol) {
    if (!protocol->has_output) {
        te_write_error(protocol, "no inference has run: use infer first");
    }
    return protocol->has_output;
}

/* --- MLPerf commands ---------------------------------------------------------------------------------------------- */

static void te_on_name(te_protocol *protocol, char *rest) {
    (void)rest;
    te_write(protocol, "m-name-dut-[");
    te_write(protocol, protocol->config.device);
    te_write_line(protocol, "]");
}

static void te_on_profile(te_protocol *protocol, char *rest) {
    (void)rest;
    te_write_line(protocol, "m-profile-[ULPMark for tinyML Firmware V0.0.1]");
    te_write(protocol, "m-model-[");
    if (protocol->config.mlperf_id[0] != '\0') {
        te_write(protocol, protocol->config.mlperf_id);
    } else {
        te_put_printable(protocol->config.put, te_runtime_info()->name);
    }
    te_write_line(protocol, "]");
}

static void te_on_timestamp(te_protocol *protocol, char *rest) {
    (void)rest;
    te_write_lap(protocol, protocol->config.microseconds());
}

static void te_on_help(te_protocol *protocol, char *rest) {
    static const char *const lines[] = {
        "name           the device's name",
        "profile        the firmware's profile and the model's id",
        "timestamp      microseconds since the start",
        "db load N      expect N input bytes",
        "db HH..        hex input bytes, up to 31 a command",
        "db print       the loaded bytes",
        "infer N [W=10] W warm-up inferences, then N timed ones",
        "results        the last outputs, dequantised; of ad01 their squared distance from the input",
        "te info        the model and the device as JSON",
        "te raw         the bytes of the last outputs as hex",
        "te reset       forget all earlier inferences, where the model keeps anything of them",
        "te crc         CRC-32 of the loaded bytes and of the last outputs",
        "te count       what the last inference of infer took, in the unit of te info",
        "te layers      one inference, with what each layer took, in an image built with --layers",
        "te enroll K    add the embedding of the loaded input to class K, in an image built with --enroll",
        "te classify    the nearest class of the loaded input, and the distance",
        "te classes     how many examples each class has",
        "te forget K    clear class K",
        "te save        write the classes into the flash",
        "te restore     read them back",
        "help           this list",
    };
    (void)rest;
    for (uint32_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        te_write_line(protocol, lines[i]);
    }
}

static void te_db_load(te_protocol *protocol, const char *argument) {
    uint32_t bytes = 0;
    protocol->expected_bytes = 0;
    protocol->stored_bytes = 0;
    if (!te_parse_unsigned(argument, &bytes) || bytes == 0u) {
        te_write_error(protocol, "db load needs a number of bytes above 0");
    } else if (bytes > protocol->config.db_bytes) {
        te_write_number_line(protocol, "e-[db load can take at most ", protocol->config.db_bytes, " bytes]");
    } else {
        protocol->expected_bytes = bytes;
        te_write_number_line(protocol, "m-[Expecting ", bytes, " bytes]");
    }
}

static void te_db_print(const te_protocol *protocol) {
    for (uint32_t i = 0; i < protocol->stored_bytes; i++) {
        const bool last = i % TE_BYTES_PER_PRINTED_LINE == TE_BYTES_PER_PRINTED_LINE - 1u || i + 1u == protocol->stored_bytes;
        if (i % TE_BYTES_PER_PRINTED_LINE == 0u) {
            te_write(protocol, "m-buffer-");
        }
        te_put_hex(protocol->config.put, protocol->config.db[i], 2);
        te_write(protocol, last ? "\r\n" : "-");
    }
}

/* All bytes are checked before the first one is stored: a bad command changes nothing. */
static void te_db_store(te_protocol *protocol, const char *hex) {
    uint32_t digits = 0; /* Of whole bytes. */
    while (hex[digits] != '\0' && hex[digits + 1u] != '\0') {
        digits += 2u;
    }
    if (protocol->expected_bytes == 0u) {
        te_write_error(protocol, "no bytes are expected: use db load first");
        return;
    }
    if (hex[digits] != '\0') {
        te_write_error(protocol, "an odd number of hex digits");
        return;
    }
    for (uint32_t i = 0; i < digits; i++) {
        if (te_hex_digit(hex[i]) < 0) {
            te_write_error(protocol, "not a hex digit");
            return;
        }
    }
    if (digits / 2u > protocol->expected_bytes - protocol->stored_bytes) {
        te_write_number_line(protocol, "e-[too many bytes: ", protocol->expected_bytes - protocol->stored_bytes,
                           " are still expected]");
        return;
    }
    for (uint32_t i = 0; i < digits; i += 2u) {
        const int32_t value = te_hex_digit(hex[i]) * 16 + te_hex_digit(hex[i + 1u]);
        protocol->config.db[protocol->stored_bytes++] = (uint8_t)value;
    }
    if (protocol->stored_bytes == protocol->expected_bytes) {
        te_write_line(protocol, "m-load-done");
    }
}

static void te_on_db(te_protocol *protocol, char *rest) {
    const char *word = te_next_word(&rest);
    if (te_same_text(word, "load")) {
        te_db_load(protocol, te_next_word(&rest));
    } else if (te_same_text(word, "print")) {
        te_db_print(protocol);
    } else if (*word == '\0') {
        te_write_error(protocol, "db needs load N, print or hex bytes");
    } else if (*te_next_word(&rest) != '\0') {
        te_write_error(protocol, "blanks within the hex bytes");
    } else {
        te_db_store(protocol, word);
    }
}

static void te_on_results(te_protocol *protocol, char *rest) {
    const te_model_info *model = te_runtime_info();
    (void)rest;
    if (!te_output_is_there(protocol)) {
        return;
    }
    te_write(protocol, "m-results-[");
    if (protocol->encoding == TE_DB_FLOAT32) {
        te_put_fixed3(protocol->config.put, protocol->score);
    } else {
        for (int32_t output = 0; output < model->output_count; output++) {
            const int32_t values = model->outputs[output].bytes / te_value_bytes(model->outputs[output].type);
            for (int32_t i = 0; i < values; i++) {
                te_write(protocol, output + i > 0 ? "," : "");
                te_put_fixed3(protocol->config.put, te_output_value(output, i));
            }
        }
    }
    te_write_line(protocol, "]");
}

static void te_on_infer(te_protocol *protocol, char *rest) {
    uint32_t inferences = 0;
    uint32_t warmups = TE_DEFAULT_WARMUPS;
    if (!te_parse_unsigned(te_next_word(&rest), &inferences) || inferences == 0u) {
        te_write_error(protocol, "infer needs a number of inferences above 0");
        return;
    }
    const char *word = te_next_word(&rest);
    if (*word != '\0' && !te_parse_unsigned(word, &warmups)) {
        te_write_error(protocol, "infer's number of warm-ups is not a number");
        return;
    }
    if (!te_input_is_loaded(protocol)) {
        return;
    }
    te_write_number_line(protocol, "m-warmup-start-", warmups, "");
    for (; warmups > 0u; warmups--) {
        if (!te_run_inference(protocol)) {
            return;
        }
    }
    te_write_line(protocol, "m-warmup-done");
    te_write_number_line(protocol, "m-infer-start-", inferences, "");
    /* Both laps are said at the end: at 115200 baud a line takes 2 ms, as long as a small model. */
    const uint64_t start_us = protocol->config.microseconds();
    for (; inferences > 0u; inferences--) {
        if (!te_run_inference(protocol)) {
            return;
        }
    }
    const uint64_t end_us = protocol->config.microseconds();
    te_keep_score(protocol);
    te_write_lap(protocol, start_us);
    te_write_lap(protocol, end_us);
    te_write_line(protocol, "m-infer-done");
    te_on_results(protocol, rest);
}

/* --- Our commands ------------------------------------------------------------------------------------------------- */

static const char *te_type_name(te_type type) {
    switch (type) {
    case TE_TYPE_UINT8:
        return "uint8";
    case TE_TYPE_BOOL:
        return "bool";
    case TE_TYPE_INT16:
        return "int16";
    case TE_TYPE_INT32:
        return "int32";
    case TE_TYPE_INT64:
        return "int64";
    case TE_TYPE_FLOAT32:
        return "float32";
    case TE_TYPE_INT8:
    default:
        return "int8";
    }
}

static void te_write_tensor(const te_protocol *protocol, const te_tensor_info *tensor) {
    const te_put put = protocol->config.put;
    te_write(protocol, "{\"type\":\"");
    te_write(protocol, te_type_name(tensor->type));
    te_write(protocol, "\",\"shape\":[");
    for (int32_t i = 0; i < tensor->rank && i < TE_MAX_RANK; i++) {
        if (i > 0) {
            te_write(protocol, ",");
        }
        te_put_signed(put, tensor->dims[i]);
    }
    te_write(protocol, "],\"scale\":");
    te_put_float(put, tensor->scale);
    te_write(protocol, ",\"zero_point\":");
    te_put_signed(put, tensor->zero_point);
    te_write(protocol, "}");
}

static void te_write_tensors(const te_protocol *protocol, const char *key, const te_tensor_info *tensors, int32_t count) {
    te_write(protocol, ",\"");
    te_write(protocol, key);
    te_write(protocol, "\":[");
    for (int32_t i = 0; i < count; i++) {
        te_write(protocol, i > 0 ? "," : "");
        te_write_tensor(protocol, &tensors[i]);
    }
    te_write(protocol, "]");
}

static void te_write_string_field(const te_protocol *protocol, const char *key, const char *value) {
    te_write(protocol, ",\"");
    te_write(protocol, key);
    te_write(protocol, "\":");
    te_put_json_string(protocol->config.put, value);
}

static void te_write_number_field(const te_protocol *protocol, const char *key, uint32_t value) {
    te_write(protocol, ",\"");
    te_write(protocol, key);
    te_write(protocol, "\":");
    te_put_unsigned(protocol->config.put, value);
}

static void te_on_info(te_protocol *protocol) {
    const te_protocol_config *config = &protocol->config;
    const te_model_info *model = te_runtime_info();
    char sha256[TE_SHA256_SHOWN + 1] = {0};
    for (int32_t i = 0; i < TE_SHA256_SHOWN && model->sha256[i] != '\0'; i++) {
        sha256[i] = model->sha256[i];
    }
    te_write(protocol, "{\"name\":");
    te_put_json_string(config->put, model->name);
    te_write_string_field(protocol, "version", config->version);
    te_write_string_field(protocol, "board", config->device);
    te_write_string_field(protocol, "cpu", config->cpu);
    te_write_string_field(protocol, "runtime", model->runtime);
    te_write_string_field(protocol, "instruction_set", model->instruction_set);
    te_write_string_field(protocol, "sha256", sha256);
    te_write_tensors(protocol, "inputs", model->inputs, model->input_count);
    te_write_tensors(protocol, "outputs", model->outputs, model->output_count);
    te_write_number_field(protocol, "db_bytes", te_needed_bytes(protocol));
    te_write_number_field(protocol, "layers", (uint32_t)model->layer_count);
    te_write_number_field(protocol, "arena_bytes", model->arena_bytes);
    te_write_number_field(protocol, "state_bytes", model->state_bytes);
    te_write_number_field(protocol, "stack_bytes", config->stack_bytes);
    te_write_number_field(protocol, "stack_used_bytes", config->stack_used_bytes());
    te_write_number_field(protocol, "clock_hz", config->clock_hz);
    te_write_string_field(protocol, "clock", config->clock);
    te_write_string_field(protocol, "count_unit", config->count_unit);
#ifdef TE_ENROLL_CLASSES
    te_write_number_field(protocol, "classes", config->learning->classes.classes);
    te_write_string_field(protocol, "store", config->learning->store.flash.description);
#endif
    te_write(protocol, ",\"uid\":\"");
    for (uint32_t i = 0; config->unique_id != NULL && i < config->unique_id_words; i++) {
        te_put_hex(config->put, config->unique_id[i], 8);
    }
    te_write_line(protocol, "\"}");
}

static void te_on_raw(const te_protocol *protocol) {
    if (te_output_is_there(protocol)) {
        const te_model_info *model = te_runtime_info();
        te_write(protocol, "te-raw-[");
        for (int32_t output = 0; output < model->output_count; output++) {
            const uint8_t *bytes = (const uint8_t *)te_runtime_output(output);
            for (int32_t i = 0; i < model->outputs[output].bytes; i++) {
                te_put_hex(protocol->config.put, bytes[i], 2);
            }
        }
        te_write_line(protocol, "]");
    }
}

static void te_on_crc(const te_protocol *protocol) {
    const te_model_info *model = te_runtime_info();
    uint32_t crc = 0;
    for (int32_t i = 0; protocol->has_output && i < model->output_count; i++) {
        crc = te_crc32_go_on(crc, te_runtime_output(i), (uint32_t)model->outputs[i].bytes);
    }
    te_write(protocol, "te-crc-[");
    te_put_hex(protocol->config.put, te_crc32(protocol->config.db, protocol->stored_bytes), 8);
    te_write(protocol, ",");
    te_put_hex(protocol->config.put, crc, 8);
    te_write_line(protocol, "]");
}

static void te_on_reset(te_protocol *protocol) {
    const te_status status = te_runtime_reset();
    protocol->has_output = false;
    protocol->has_count = false;
    if (status == TE_OK) {
        te_write_line(protocol, "te-reset-done");
    } else {
        te_write_number_line(protocol, "e-[the model could not be reset, status ", (uint64_t)status, "]");
    }
}

static void te_on_count(const te_protocol *protocol) {
    if (!protocol->has_count) {
        te_write_error(protocol, "no inference has been counted: use infer first");
        return;
    }
    te_write(protocol, "te-count-[");
    te_put_unsigned(protocol->config.put, protocol->count);
    te_write(protocol, ",");
    te_write(protocol, protocol->config.count_unit);
    te_write_line(protocol, "]");
}

#ifdef TE_PROFILE /* Names and hooks cost flash, so an image has them only when it was built for profiles. */

/* A layer may take less than a count of an emulator's clock, which is many instructions. So a layer starts right after
 * a count, and what is left of the count in which it ends is measured by looks at the clock. Thousandths of a count. */
typedef struct {
    uint64_t reached; /* When the question came. */
    uint64_t now;     /* When it was answered: right after a count. */
} te_moment;

static te_moment te_look(const te_protocol *protocol) {
    const uint64_t looks = protocol->config.wait(1);
    const uint64_t now = protocol->config.count() * TE_THOUSAND;
    const uint64_t waited = (looks * protocol->look) >> TE_LOOK_BITS;
    return (te_moment){now - waited, now};
}

static void te_put_thousandths(te_put put, uint64_t value) {
    te_put_unsigned(put, value / TE_THOUSAND);
    put('.');
    for (uint32_t unit = 100u; unit > 0u; unit /= 10u) {
        put((char)('0' + value / unit % 10u));
    }
}

static void te_write_layer(const te_protocol *protocol, int32_t layer, uint64_t spent) {
    const te_layer_info *info = &te_runtime_info()->layers[layer];
    const te_put put = protocol->config.put;
    te_write(protocol, "te-layer-[");
    te_put_signed(put, layer);
    te_write(protocol, ",");
    te_write(protocol, info->op);
    te_write(protocol, ",");
    te_write(protocol, info->kernel);
    te_write(protocol, ",");
    te_put_unsigned(put, info->macs);
    te_write(protocol, ",");
    te_put_thousandths(put, spent);
    te_write(protocol, ",");
    te_put_printable(put, info->name); /* Last, because a name may hold commas. */
    te_write_line(protocol, "]");
}

/* Prints each layer as soon as it is done, so no table of counts is kept; the printing is not counted. TE_NO_LAYER is
 * nothing at all: what it takes is what measuring takes. */
static void te_on_layer_done(void *context, int32_t layer) {
    te_protocol *protocol = (te_protocol *)context;
    const uint64_t spent = te_look(protocol).reached - protocol->layer_start;
    if (layer == TE_NO_LAYER) {
        protocol->layer_overhead = spent;
    } else if (layer >= 0 && layer < te_runtime_info()->layer_count) {
        te_write_layer(protocol, layer, spent > protocol->layer_overhead ? spent - protocol->layer_overhead : 0u);
    }
    protocol->layer_start = te_look(protocol).now;
}

static void te_calibrate_layers(te_protocol *protocol) {
    void (*volatile done)(void *, int32_t) = te_on_layer_done; /* Volatile: called, as the model calls it. */
    (void)protocol->config.wait(1);
    /* Divided here, once: on some processors a division takes as long as its operands want. */
    const uint32_t looks = protocol->config.wait(TE_CALIBRATION_COUNTS);
    protocol->look = looks > 0u ? (((uint64_t)TE_CALIBRATION_COUNTS * TE_THOUSAND) << TE_LOOK_BITS) / looks : 0u;
    done(protocol, TE_NO_LAYER);
    done(protocol, TE_NO_LAYER);
}

static void te_on_layers(te_protocol *protocol) {
    if (!te_input_is_loaded(protocol)) {
        return;
    }
    te_fill_inputs(protocol);
    te_calibrate_layers(protocol);
    const te_status status = te_runtime_invoke(te_on_layer_done, protocol);
    protocol->has_output = status == TE_OK;
    if (status != TE_OK) {
        te_write_number_line(protocol, "e-[the inference failed with status ", (uint64_t)status, "]");
        return;
    }
    te_keep_score(protocol);
}

#else

static void te_on_layers(te_protocol *protocol) {
    te_write_error(protocol, "this image tells of no layers: build it with --layers");
}

#endif

#ifdef TE_ENROLL_CLASSES

/* What the model gives for the loaded input, or NULL and an error. */
static const int8_t *te_embed_input(void *context) {
    te_protocol *protocol = (te_protocol *)context;
    return te_input_is_loaded(protocol) && te_run_inference(protocol) ? (const int8_t *)te_runtime_output(0) : NULL;
}

/* Runs a command of te_learning.h; false where `word` is none. */
static bool te_on_learning(te_protocol *protocol, const char *word, char *rest) {
    uint32_t number = 0;
    const bool is_number = te_parse_unsigned(te_next_word(&rest), &number);
    return te_run_learning_command(protocol->config.learning, protocol->config.put, word, is_number ? &number : NULL,
                                   te_embed_input, protocol);
}

#else

static bool te_on_learning(te_protocol *protocol, const char *word, char *rest) {
    static const char *const words[] = {"enroll", "classify", "classes", "forget", "save", "restore"};
    (void)rest;
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (te_same_text(word, words[i])) {
            te_write_error(protocol, "this image learns no classes: build it with --enroll CLASSES");
            return true;
        }
    }
    return false;
}

#endif

static void te_write_unknown(const te_protocol *protocol, const char *prefix, const char *word) {
    te_write(protocol, "e-[Unknown command: ");
    te_write(protocol, prefix);
    te_put_printable(protocol->config.put, word);
    te_write_line(protocol, ", try help]");
}

static void te_on_te(te_protocol *protocol, char *rest) {
    const char *word = te_next_word(&rest);
    if (te_same_text(word, "info")) {
        te_on_info(protocol);
    } else if (te_same_text(word, "raw")) {
        te_on_raw(protocol);
    } else if (te_same_text(word, "crc")) {
        te_on_crc(protocol);
    } else if (te_same_text(word, "count")) {
        te_on_count(protocol);
    } else if (te_same_text(word, "layers")) {
        te_on_layers(protocol);
    } else if (te_same_text(word, "reset")) {
        te_on_reset(protocol);
    } else if (!te_on_learning(protocol, word, rest)) {
        te_write_unknown(protocol, "te ", word);
    }
}

/* --- The state machine -------------------------------------------------------------------------------------------- */

static void te_run_command(te_protocol *protocol) {
    static const struct {
        const char *word;
        void (*run)(te_protocol *protocol, char *rest);
    } commands[] = {
        {"name", te_on_name},   {"profile", te_on_profile}, {"timestamp", te_on_timestamp}, {"help", te_on_help},
        {"db", te_on_db},       {"infer", te_on_infer},     {"results", te_on_results},     {"te", te_on_te},
    };
    char *rest = protocol->command;
    const char *word = te_next_word(&rest);
    for (uint32_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (te_same_text(word, commands[i].word)) {
            commands[i].run(protocol, rest);
            return;
        }
    }
    te_write_unknown(protocol, "", word);
}

static te_db_encoding te_encoding_of(const char *mlperf_id) {
    if (te_same_text(mlperf_id, "ic01") || te_same_text(mlperf_id, "vww01")) {
        return TE_DB_UINT8;
    }
    return te_same_text(mlperf_id, "ad01") ? TE_DB_FLOAT32 : TE_DB_RAW;
}

void te_protocol_init(te_protocol *protocol, const te_protocol_config *config) {
    te_status status;
    memset(protocol, 0, sizeof *protocol);
    protocol->config = *config;
    protocol->encoding = te_encoding_of(config->mlperf_id);
    protocol->count_overhead = te_measure(protocol, te_nothing, &status);
}

void te_protocol_greet(const te_protocol *protocol) {
    te_write_line(protocol, "m-init-done");
    te_write_line(protocol, "m-ready");
}

void te_protocol_feed(te_protocol *protocol, char byte) {
    if (byte == '%') {
        if (protocol->overlong) {
            te_write_number_line(protocol, "e-[the command is longer than ", TE_COMMAND_CHARS, " characters]");
        } else {
            protocol->command[protocol->length] = '\0';
            te_run_command(protocol);
        }
        protocol->length = 0;
        protocol->overlong = false;
        te_write_line(protocol, "m-ready");
        return;
    }
    if (byte == '\0' || (protocol->length == 0u && (byte == '\r' || byte == '\n'))) {
        return;
    }
    if (protocol->length == TE_COMMAND_CHARS) {
        protocol->overlong = true;
        return;
    }
    protocol->command[protocol->length++] = byte == '\r' || byte == '\n' || byte == '\t' ? ' ' : byte;
}

// SPDX-License-Identifier: Apache-2.0
// Runs the model on an input of zeros once a second and prints the position of its largest output.
#include <@NAME@_model.h>

void setup() {
    Serial.begin(115200);
    (void)@NAME@_init();
}

void loop() {
    memset(@NAME@_input(), @UPPER@_INPUT_ZERO_POINT, @UPPER@_INPUT_BYTES);
    const unsigned long start_us = micros();
    const te_status status = @NAME@_invoke();
    const unsigned long latency_us = micros() - start_us;

    const int8_t *output = @NAME@_output();
    int best = 0;
    for (int i = 1; i < @UPPER@_OUTPUT_BYTES; ++i) {
        best = output[i] > output[best] ? i : best;
    }
    Serial.print(status == TE_OK ? "output " : "failed: output ");
    Serial.print(best);
    Serial.print(" in ");
    Serial.print(latency_us);
    Serial.println(" us");
    delay(1000);
}

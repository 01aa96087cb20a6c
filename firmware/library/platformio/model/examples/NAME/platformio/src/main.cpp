// SPDX-License-Identifier: Apache-2.0
// Runs one inference and compares its output with the golden one: with Arduino's framework once a second, else once.
#ifdef ARDUINO
#include <Arduino.h>
#endif
#include <stdio.h>

#include "@NAME@_golden.h"

static bool check(char *line, size_t bytes) {
    uint32_t crc32 = 0;
    te_status status = @NAME@_init();
    if (status == TE_OK) {
        status = @NAME@_golden_check(&crc32);
    }
    snprintf(line, bytes, "@NAME@: CRC-32 %08lx, %s", (unsigned long)crc32,
             status == TE_OK ? @UPPER@_GOLDEN_SAME : "WRONG");
    return status == TE_OK;
}

#ifdef ARDUINO

void setup() {
    Serial.begin(115200);
}

void loop() {
    char line[128];
    check(line, sizeof line);
    Serial.println(line);
    delay(1000);
}

#else

int main() {
    char line[128];
    const bool same = check(line, sizeof line);
    puts(line);
    return same ? 0 : 1;
}

#endif

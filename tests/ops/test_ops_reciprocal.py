"""The reciprocal of the DSP extension's SOFTMAX, which saves the portable one's 64 bits, equals that one's."""

import subprocess

import pytest
from machines.case_machines import KERNELS, WARNINGS

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include "te_fixed_point.h"
#include "te_softmax_s8_dsp.c"

/* All arguments, a step apart. */
int main(int argc, char **argv) {
    const uint32_t step = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    long compared = 0;
    for (uint32_t x = 0; x < 0x80000000u; x += step, ++compared) {
        if (reciprocal_of_one_plus((int32_t)x) != te_reciprocal_of_one_plus((int32_t)x)) {
            printf("%lu\\n", (unsigned long)x);
            return 1;
        }
    }
    printf("%ld compared\\n", compared);
    return 0;
}
"""


@pytest.mark.parametrize("step", [1009, pytest.param(1, marks=pytest.mark.thorough)])
def test_the_reciprocal_without_64_bits_is_that_of_the_portable_kernel(step, tmp_path):
    source, program = tmp_path / "compare.c", tmp_path / "compare"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-std=c99", "-O2", *WARNINGS, f"-I{KERNELS}", source, "-o", program], check=True)
    result = subprocess.run([program, str(step)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert result.stdout == f"{-(-(2**31) // step)} compared\n"

"""What other engines need for the same models: measured once, with the counter read the same way, and kept here.

Executed instructions of one inference in QEMU 7.2 with `-icount shift=0`: the last of 5 random inputs, 3 on the M55.

* TFLite Micro 90b983c with CMSIS-NN 4ab83cc3, arm-none-eabi-gcc 12.2.1, every run equal to the host interpreter. -O2
  with CMSIS_NN_USE_REQUANTIZE_INLINE_ASSEMBLY for MLPerf Tiny's models on the M4: 2 % (AD) to 6 % (VWW, KWS) fewer
  instructions than without; others on the M4 without it, the better of -O2 and -O3; -O3 elsewhere. Flash is code
  and tables without the model, with the registrations of int8 operators only; None where only another build was
  measured. CMSIS-NN's next release, 8.0.0, was not to be had; between 4ab83cc3 and 99f736a, five weeks before it,
  nothing but transposed convolutions changed.
* TinyEngine 47bb283, -Ofast, without the softmax. Its outputs are not TFLite's. RAM is its buffers.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PeerFigures:
    """One engine, model and core.

    Attributes:
        engine: Its name.
        instructions: Of one inference.
        ram_bytes: The arena or buffers, without the stack.
        flash_bytes: Code and tables, without the model.
        cycles: Modelled ones of an inference on `PUBLISHED_BOARD`, by `tinyedge bench --runtime tflm`, the last of 1
            input; None where that was not measured.
    """

    engine: str
    instructions: int
    ram_bytes: int
    flash_bytes: int | None
    cycles: int | None = None


TFLM = "TFLM + CMSIS-NN"
TINY_ENGINE = "TinyEngine"

# By model and by GCC's name of the core.
PEERS: dict[tuple[str, str], tuple[PeerFigures, ...]] = {
    ("IC ResNet-8", "cortex-m4"): (PeerFigures(TFLM, 28_505_040, 54_996, 56_124, 39_327_737),),
    ("IC ResNet-8", "cortex-m7"): (PeerFigures(TFLM, 29_938_010, 54_996, 54_028),),
    ("IC ResNet-8", "cortex-m55"): (PeerFigures(TFLM, 4_812_667, 55_028, 46_388),),
    ("VWW MobileNetV1-0.25", "cortex-m4"): (
        PeerFigures(TFLM, 22_608_960, 100_708, 56_912, 30_876_059),
        PeerFigures(TINY_ENGINE, 19_711_664, 60_728, 13_400),
    ),
    ("VWW MobileNetV1-0.25", "cortex-m7"): (
        PeerFigures(TFLM, 24_483_935, 100_708, 55_068),
        PeerFigures(TINY_ENGINE, 19_720_948, 60_728, 13_444),
    ),
    ("VWW MobileNetV1-0.25", "cortex-m55"): (PeerFigures(TFLM, 6_433_632, 100_772, 47_916),),
    ("KWS DS-CNN", "cortex-m4"): (PeerFigures(TFLM, 7_226_360, 22_820, 56_912, 9_375_794),),
    ("KWS DS-CNN", "cortex-m7"): (PeerFigures(TFLM, 7_760_298, 22_820, 55_068),),
    ("KWS DS-CNN", "cortex-m55"): (PeerFigures(TFLM, 1_786_400, 27_348, 47_916),),
    ("AD autoencoder", "cortex-m4"): (
        PeerFigures(TFLM, 573_200, 2_580, 30_240, 898_645),
        PeerFigures(TINY_ENGINE, 771_924, 3_328, 3_496),
    ),
    ("AD autoencoder", "cortex-m7"): (PeerFigures(TFLM, 582_667, 2_580, 27_712),),
    ("AD autoencoder", "cortex-m55"): (PeerFigures(TFLM, 150_015, 9_268, 22_332),),
    ("TinyNeXt-T (2,1,2,2,2)", "cortex-m4"): (PeerFigures(TFLM, 56_605_480, 159_508, None),),
    ("TinyNeXt-T (1,1,2,2,2)", "cortex-m4"): (PeerFigures(TFLM, 235_276_240, 362_164, None),),
    ("MobileNetV2-0.35", "cortex-m4"): (PeerFigures(TFLM, 63_090_040, 173_236, None),),
}

# Milliseconds that others measured on a NUCLEO-L4R5ZI at 120 MHz and published as MLPerf Tiny results, by model.
PUBLISHED_MS: dict[str, dict[str, float]] = {
    "IC ResNet-8": {"X-CUBE-AI 10.2 (v1.3)": 165.7, "Plumerai (v1.1)": 167.8},
    "VWW MobileNetV1-0.25": {"X-CUBE-AI 10.2 (v1.3)": 89.4, "Plumerai (v1.1)": 98.8},
    "KWS DS-CNN": {"X-CUBE-AI 10.2 (v1.3)": 43.4, "Plumerai (v1.1)": 47.8},
    "AD autoencoder": {"X-CUBE-AI 10.2 (v1.3)": 4.79, "Plumerai (v1.1)": 4.05},
}
PUBLISHED_BOARD = "nucleo_l4r5zi"

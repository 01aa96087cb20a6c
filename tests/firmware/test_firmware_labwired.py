"""Boards that QEMU lacks, in the simulator of the package labwired: they boot, talk, and have TFLite Micro's bytes."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from compiler.random_networks import random_network

import tinyedge
from tinyedge.boards.board import load_board
from tinyedge.devices.serial import DeviceClient
from tinyedge.errors import ToolMissing
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_tflite
from tinyedge.toolchain import find_build_tools

labwired = pytest.importorskip("labwired")
CONFIGS = Path(labwired.__file__).parent / "configs"

try:
    find_build_tools()
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)

# Board -> the simulator's chip and serial port, the clock, and what silicon has and the chip's description leaves out.
CHIPS = {
    "nucleo_g474re": (
        "stm32g474re",
        "lpuart1",
        (170_000_000, "PLL from HSI16"),
        {},
    ),
    # The STM32G071 has the same clock control and serial port, and less memory.
    "nucleo_g0b1re": (
        "stm32g071",
        None,
        (64_000_000, "PLL from HSI16"),
        {"flash": {"base": 0x0800_0000, "size": "512KB"}, "ram": {"base": 0x2000_0000, "size": "144KB"}},
    ),
    "nucleo_u575zi": ("stm32u575", None, (160_000_000, "PLL from HSI16"), {}),
    "nucleo_wb55rg": ("stm32wb55", "usart1", (64_000_000, "PLL from HSI16"), {}),
    "nrf52840_dk": (
        "nrf52840",
        None,
        (64_000_000, "HFXO"),
        {
            "peripherals": [
                {"id": "systick", "type": "systick", "base_address": 0xE000_E010},
                {"id": "nvic", "type": "nvic", "base_address": 0xE000_E100, "size": "1KB"},
            ]
        },
    ),
}


WITHOUT_UNIQUE_ID = {"nucleo_g474re", "nucleo_g0b1re", "nucleo_u575zi"}
CPU_HZ = 8_000_000  # Of the simulated time, in which a board mostly waits for its reader.


class SimulatedLine:
    """The serial port of a simulated board: its time passes while somebody reads."""

    def __init__(self, simulator):
        self.simulator = simulator

    def write(self, data: bytes) -> None:
        self.simulator.send_bytes(data)

    def read(self, timeout_s: float) -> bytes:
        for _ in range(int(timeout_s / 0.002) + 1):
            said: bytes = self.simulator.read_uart_bytes()
            if said:
                return said
            self.simulator.run_for("2ms")
        return b""

    def close(self) -> None:
        self.simulator.close()


@pytest.fixture
def simulated(tmp_path):
    """A function that starts an image on a simulated board."""
    clients = []

    def start(board: str, elf: Path) -> DeviceClient:
        chip, port, _, more = CHIPS[board]
        described = yaml.safe_load((CONFIGS / "chips" / f"{chip}.yaml").read_text())
        described["cpu_hz"] = CPU_HZ
        for key, values in more.items():
            described[key] = values if key in ("flash", "ram") else [*described[key], *values]
        (tmp_path / "chips").mkdir()
        (tmp_path / "systems").mkdir()
        for folder in ("peripherals", "devices"):
            (tmp_path / folder).symlink_to(CONFIGS / folder)
        (tmp_path / "chips" / "chip.yaml").write_text(yaml.safe_dump(described))
        system = {"name": board, "chip": "../chips/chip.yaml", "external_devices": [], "board_io": []}
        (tmp_path / "systems" / "system.yaml").write_text(yaml.safe_dump(system))
        client = DeviceClient(SimulatedLine(labwired.Sim(elf, system=tmp_path / "systems" / "system.yaml", uart=port)))
        clients.append(client)
        client.wait_until_booted()
        return client

    yield start
    for client in clients:
        client.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "board",
    [
        # Two makers and three cores; the others are Cortex-M4 of the first maker.
        pytest.param(
            name, marks=[] if name in ("nucleo_g0b1re", "nucleo_u575zi", "nrf52840_dk") else [pytest.mark.thorough]
        )
        for name in CHIPS
    ],
)
def test_an_image_has_tflite_micros_bytes(board, simulated, tmp_path):
    file = tmp_path / "network.tflite"
    file.write_bytes(random_network(1, layers=6))
    # The simulator has no instructions of the DSP extension: the same board files around code of a Cortex-M3.
    text = load_board(board).file.read_text()
    text = re.sub(r"-mcpu=cortex-m(4|33) -mthumb -mfpu=\S+ -mfloat-abi=hard", "-mcpu=cortex-m3 -mthumb", text)
    text = re.sub('"cortex-m(4|33)"', '"cortex-m3"', text).replace('"dsp"', '"scalar"')
    # Nor has it the unique number of every part, and a read of it would end there: such a description tells of none.
    if board in WITHOUT_UNIQUE_ID:
        text = re.sub(r"\[unique_id\]\norigin = \w+\nwords = \d\n", "", text)
    (tmp_path / f"{board}.toml").write_text(text)
    image = tinyedge.build(file, board=tmp_path / f"{board}.toml", out=tmp_path / "firmware")
    client = simulated(board, image.elf)
    info = client.info()
    assert (info.board, (info.clock_hz, info.clock)) == (board, CHIPS[board][2])
    assert len(info.uid) == (0 if board in WITHOUT_UNIQUE_ID else 8 * load_board(board).unique_id.words)
    shape = read_tflite(file).inputs[0].shape[1:]
    inputs = np.random.default_rng(0).integers(-128, 128, (2, *shape), dtype=np.int8)
    expected = TflmRuntime(file).run(inputs)
    for one, output in zip(inputs, expected, strict=True):
        client.load_checked(one.tobytes())
        client.infer(1, warmup=0)
        assert client.raw() == output.tobytes()

"""Which port is the board's."""

import pytest

from tinyedge.devices.ports import Port, choose_port, follow_port, list_ports, resolve_port
from tinyedge.errors import TargetError

V2 = Port("/dev/ttyACM0", 0x0483, 0x374B, "066CFF53", "STM32 STLink")
V3 = Port("/dev/ttyACM1", 0x0483, 0x374E, "002A0037", "STLINK-V3")
DAPLINK = Port("/dev/ttyACM2", 0x0D28, 0x0204, "9900", "DAPLink")
CABLE = Port("/dev/ttyUSB0", 0x0403, 0x6001, "", "FT232R USB UART")
OTHER_ST = Port("/dev/ttyACM3", 0x0483, 0x5740, "X", "STM32 Virtual ComPort")


@pytest.mark.parametrize("port", [V2, V3, DAPLINK])
def test_the_only_debug_probe_is_chosen(port):
    assert choose_port([CABLE, OTHER_ST, port]) == port


def test_of_several_the_one_of_the_probe_is_chosen():
    assert choose_port([V2, V3], "002A0037") == V3
    with pytest.raises(TargetError, match=r"several boards.*ttyACM0 \(STM32 STLink, 066CFF53\), /dev/ttyACM1.*--port"):
        choose_port([V2, V3])


def test_other_ports_are_listed_but_not_chosen():
    with pytest.raises(TargetError, match=r"no serial port belongs to a debug probe; there are /dev/ttyUSB0 \(FT232R"):
        choose_port([CABLE])
    with pytest.raises(TargetError, match="no serial port belongs to a debug probe; there are /dev/ttyACM0"):
        choose_port([V2], "002A0037")


def test_no_port_is_told():
    with pytest.raises(TargetError, match="no serial port on USB: plug the board in"):
        choose_port([])


def test_a_port_is_followed_by_its_serial_number():
    moved = Port("/dev/ttyACM7", V3.vendor_id, V3.product_id, V3.serial_number, V3.description)
    assert follow_port(V3, [V2, moved]) == "/dev/ttyACM7"
    assert follow_port(V3, [V2, V3, moved]) == V3.device
    assert follow_port(V3, [V2]) == V3.device
    assert follow_port(CABLE, [Port("/dev/ttyUSB1", 0x0403, 0x6001, "", "")]) == CABLE.device


def test_a_named_port_is_taken_as_it_is():
    assert resolve_port("/dev/pts/99") == Port("/dev/pts/99", None, None, "", "")
    assert all(port.vendor_id is not None for port in list_ports())

"""Which serial port a board is on."""

from dataclasses import dataclass

from tinyedge.devices.flash_tools.usb import is_st_link
from tinyedge.errors import TargetError
from tinyedge.installation import package_missing

AUTO = "auto"

_DAPLINK = (0x0D28, 0x0204)


@dataclass(frozen=True)
class Port:
    """A serial port on USB.

    Attributes:
        device: As the system names it: "/dev/ttyACM0".
        vendor_id: Of its USB device; None where it is not on USB.
        product_id: The same.
        serial_number: Of its USB device, which stays when `device` changes; "" where it has none.
        description: For people.
    """

    device: str
    vendor_id: int | None
    product_id: int | None
    serial_number: str
    description: str

    @property
    def is_probe(self) -> bool:
        """Whether it belongs to a debug probe, as boards carry them: an ST-Link or a DAPLink."""
        return is_st_link(self.vendor_id, self.product_id) or (self.vendor_id, self.product_id) == _DAPLINK


def list_ports() -> list[Port]:
    """Return the serial ports on USB, sorted by name.

    Raises:
        ToolMissing: pyserial is not installed.
    """
    try:
        from serial.tools import list_ports as pyserial
    except ImportError as error:
        raise package_missing("pyserial") from error
    ports = [
        Port(port.device, port.vid, port.pid, port.serial_number or "", port.product or port.description or "")
        for port in pyserial.comports()
        if port.vid is not None
    ]
    return sorted(ports, key=lambda port: port.device)


def choose_port(ports: list[Port], probe: str | None = None) -> Port:
    """Return the port that must be the board's.

    Args:
        ports: What there is.
        probe: The serial number of the board's debug probe; None where it is not known.

    Raises:
        TargetError: There is none, or there are several.
    """
    candidates = [port for port in ports if port.is_probe]
    if probe is not None:
        candidates = [port for port in candidates if port.serial_number == probe]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise TargetError(f"several boards have a serial port: {_listed(candidates)}; choose one with --port")
    if ports:
        raise TargetError(
            f"no serial port belongs to a debug probe; there are {_listed(ports)}: choose the one that is wired to the "
            "board with --port"
        )
    raise TargetError(
        "no serial port on USB: plug the board in (a cable with data lines), or name its port with --port"
    )


def resolve_port(name: str) -> Port:
    """Return the port that `--port` means.

    Args:
        name: The port's, or "auto" for the one that must be the board's.

    Raises:
        TargetError: As for `choose_port`.
    """
    ports = list_ports()
    if name == AUTO:
        return choose_port(ports)
    return next((port for port in ports if port.device == name), Port(name, None, None, "", ""))


def follow_port(port: Port, ports: list[Port]) -> str:
    """Return the present name of a port that has been unplugged: systems number ports as they come.

    Args:
        port: As it was.
        ports: What there is.
    """
    same = [found.device for found in ports if port.serial_number and found.serial_number == port.serial_number]
    return port.device if port.device in same or not same else same[0]


def _listed(ports: list[Port]) -> str:
    return ", ".join(
        f"{port.device} ({port.description}, {port.serial_number or 'no serial number'})" for port in ports
    )

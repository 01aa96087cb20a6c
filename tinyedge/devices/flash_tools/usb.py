"""ST-Links on this machine's USB, as Linux lists them."""

from pathlib import Path

from tinyedge.devices.flash_tools.base import ProbeInfo

# STMicroelectronics and its debug probes: 3744 and 3748 are the first ST-Links, those from 374a on have a serial port.
ST_VENDOR_ID = 0x0483
_FIRST_ST_LINK, _LAST_ST_LINK = 0x3744, 0x3757
_DEVICES = Path("/sys/bus/usb/devices")


def is_st_link(vendor_id: int | None, product_id: int | None) -> bool:
    """Whether USB ids are those of an ST-Link."""
    return vendor_id == ST_VENDOR_ID and product_id is not None and _FIRST_ST_LINK <= product_id <= _LAST_ST_LINK


def st_links(devices: Path = _DEVICES) -> list[ProbeInfo] | None:
    """Return the connected ST-Links, whoever may open them; None where the system does not list its devices.

    Args:
        devices: The folder in which Linux has a folder for each USB device.
    """
    if not devices.is_dir():
        return None
    found = []
    for folder in sorted(devices.iterdir()):
        vendor, product, serial, name = (_read(folder / key) for key in ("idVendor", "idProduct", "serial", "product"))
        if vendor and product and is_st_link(int(vendor, 16), int(product, 16)):
            found.append(ProbeInfo(serial or "", name or "ST-Link"))
    return found


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None

"""A board on a serial port whose cable may be pulled in the middle of long work."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from tinyedge.devices.answers import DeviceInfo
from tinyedge.devices.ports import Port, follow_port, list_ports
from tinyedge.devices.serial import DeviceClient, SerialStream
from tinyedge.errors import LineLost, TargetError

_ATTEMPTS = 5
_POLL_S = 0.5

_Result = TypeVar("_Result")


class BoardLine:
    """Runs work on a board, and what was interrupted again once the board is back, for the length of a `with` block.

    Args:
        port: Where the board is.
        baud: Of its serial port.
        report: Called with a sentence when the line is lost, and when it is back.
        patience_s: How long to wait for the board to come back.

    Attributes:
        info: What the device said of itself at first.

    Raises:
        TargetError: The port does not open, or nothing that speaks the protocol answers.
    """

    info: DeviceInfo
    _client: DeviceClient

    def __init__(self, port: Port, baud: int, report: Callable[[str], None], patience_s: float = 600.0) -> None:
        self._port, self._baud = port, baud
        self._report = report
        self._patience_s = patience_s
        self._is_open = False

    def __enter__(self) -> "BoardLine":
        self._client, self.info = self._connect(self._port.device)
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def run(self, work: Callable[[DeviceClient], _Result]) -> _Result:
        """Do `work`, from its start again where the line was lost on the way.

        Args:
            work: Leaves nothing behind that its repetition would not set right.

        Raises:
            TargetError: The board does not come back, comes back with another model, or never gets through `work`.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return work(self._client)
            except LineLost as error:
                if attempt == _ATTEMPTS:
                    raise
                self._report(f"{error}; waiting for the board to come back")
                self._reconnect(error)
        raise AssertionError

    def _connect(self, device: str) -> tuple[DeviceClient, DeviceInfo]:
        client = DeviceClient(SerialStream(device, self._baud))
        try:
            client.handshake()
            return client, client.info()
        except BaseException:
            client.close()
            raise

    def _reconnect(self, lost: LineLost) -> None:
        self._close()  # A port that is held keeps its number, and the board would come back under another.
        deadline = time.monotonic() + self._patience_s
        while not self._is_open:
            device = follow_port(self._port, list_ports())
            try:
                self._client, info = self._connect(device)
                self._is_open = True
            except TargetError as error:
                if time.monotonic() > deadline:
                    raise TargetError(
                        f"the board did not come back within {self._patience_s:.0f} s ({error}): start again"
                    ) from lost
                time.sleep(_POLL_S)
        if info.sha256 != self.info.sha256:
            raise TargetError("the board came back with another model: flash the first one and start again")
        self._report(f"{device} is back; going on")

    def _close(self) -> None:
        if self._is_open:
            self._client.close()
            self._is_open = False

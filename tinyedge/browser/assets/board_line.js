/** What goes wrong on a board's line, as a sentence. */
class LineError extends Error {}

const BAUD = 115200;
const BYTES_PER_COMMAND = 31; // As tinyedge/devices/serial.py sends an input.
const MOST_LINE = 2 ** 20;
const MOST_LINES = 10000;
const COMMAND_MS = 10000;
const INFERENCE_MS = 120000;
const SILENCE_MS = 500;
const TALK_MS = 20000;
const GONE = "The board has gone: its port vanished. Connect it again; what this page has learned is still here.";

/** The host's side of the firmware's serial protocol, over a port of WebSerial; one command at a time. */
class BoardLine {
  static async open(port) {
    try {
      await port.open({ baudRate: BAUD });
    } catch (error) {
      throw new LineError(`The port cannot be opened (${error.message}): close the program that has it open, or choose another.`);
    }
    const line = new BoardLine(port);
    try {
      await line.handshake();
    } catch (error) {
      await line.close();
      throw error;
    }
    return line;
  }

  constructor(port) {
    this.port = port;
    this.reader = port.readable.getReader();
    this.writer = port.writable.getWriter();
    this.received = "";
    this.pending = null; // The read that has begun and whose bytes have not come.
    this.last = Promise.resolve(); // The command before.
  }

  async close() {
    await this.reader.cancel().catch(() => {});
    this.reader.releaseLock();
    await this.writer.close().catch(() => {});
    this.writer.releaseLock();
    await this.port.close().catch(() => {});
  }

  /** Finds a device that may be running already, in whatever state its line is. */
  async handshake() {
    await this.write("%"); // Ends what another program may have left half-sent.
    const end = performance.now() + TALK_MS;
    while ((await this.read(SILENCE_MS)) !== null) {
      if (performance.now() > end) throw new LineError("Something talks without a pause, but not tinyedge: choose another port.");
    }
    this.received = "";
    const lines = await this.command("name");
    if (!lines.some((one) => one.startsWith("m-name-dut-["))) {
      throw new LineError("Something answers, but not with tinyedge's protocol: choose another port, or flash the board.");
    }
  }

  /** The lines of a command's answer, without the last one. */
  command(text, milliseconds = COMMAND_MS) {
    const done = this.last.then(() => this.ask(text, milliseconds));
    this.last = done.catch(() => {});
    return done;
  }

  async ask(text, milliseconds) {
    await this.write(`${text}%`);
    const lines = [];
    const end = performance.now() + milliseconds;
    for (;;) {
      const line = await this.line(text, end);
      if (line === "m-ready") break;
      if (line.startsWith("e-[fault")) throw new LineError(`The board stopped at “${text}” with ${line.slice(0, 200)}: reset it.`);
      if (line !== "") lines.push(line);
      if (lines.length > MOST_LINES) throw new LineError("The board answers without an end: reset it.");
    }
    if (lines.includes("m-init-done")) throw new LineError("The board restarted: what was loaded into it is gone. Try again.");
    const wrong = lines.find((line) => line.startsWith("e-["));
    if (wrong !== undefined) throw new LineError(`The board answers “${text}” with ${wrong.slice(0, 200)}.`);
    return lines;
  }

  /** What stands in the brackets of the one line of a command's answer. */
  async value(text, prefix, milliseconds = COMMAND_MS) {
    const lines = await this.command(text, milliseconds);
    const [line] = lines;
    if (lines.length !== 1 || !line.startsWith(`${prefix}-[`) || !line.endsWith("]")) throw otherFirmware(text);
    return line.slice(prefix.length + 2, -1);
  }

  async numbers(text, prefix, count = null, milliseconds = COMMAND_MS) {
    const parts = (await this.value(text, prefix, milliseconds)).split(",");
    const bad = parts.some((part) => !/^[0-9]{1,15}$/.test(part));
    if (bad || (count !== null && parts.length !== count)) throw otherFirmware(text);
    return parts.map(Number);
  }

  async info() {
    const lines = await this.command("te info");
    try {
      return JSON.parse(lines.join(""));
    } catch {
      throw otherFirmware("te info");
    }
  }

  /** Sends an input, and makes sure that it arrived as it is. */
  async load(bytes) {
    await this.command(`db load ${bytes.length}`);
    let lines = [];
    for (let at = 0; at < bytes.length; at += BYTES_PER_COMMAND) {
      const some = Array.from(bytes.subarray(at, at + BYTES_PER_COMMAND), (one) => one.toString(16).padStart(2, "0"));
      lines = await this.command(`db ${some.join("").toUpperCase()}`);
    }
    const [loaded] = (await this.value("te crc", "te-crc")).split(",");
    if (lines.join() !== "m-load-done" || parseInt(loaded, 16) !== crc32(bytes)) {
      throw new LineError("The input did not arrive as it was sent: check the cable and try again.");
    }
  }

  /** Runs an inference on the loaded input; returns its outputs' bytes and its microseconds by the board's clock. */
  async infer() {
    const lines = await this.command("infer 1 0", INFERENCE_MS);
    const laps = lines.filter((one) => /^m-lap-us-[0-9]{1,15}$/.test(one)).map((one) => Number(one.slice(9)));
    if (laps.length !== 2 || !lines.includes("m-infer-done")) throw otherFirmware("infer");
    const raw = await this.value("te raw", "te-raw");
    if (!/^([0-9A-Fa-f]{2})+$/.test(raw)) throw otherFirmware("te raw");
    const bytes = Uint8Array.from(raw.match(/../g), (one) => parseInt(one, 16));
    return { bytes, microseconds: laps[1] - laps[0] };
  }

  async write(text) {
    try {
      await this.writer.write(new TextEncoder().encode(text));
    } catch {
      throw new LineError(GONE);
    }
  }

  /** What has come, as text; null when nothing came in time. */
  async read(milliseconds) {
    this.pending ??= this.reader.read();
    let timer;
    const late = new Promise((done) => {
      timer = setTimeout(done, Math.max(milliseconds, 0), null);
    });
    let found;
    try {
      found = await Promise.race([this.pending, late]);
    } catch {
      throw new LineError(GONE);
    } finally {
      clearTimeout(timer);
    }
    if (found === null) return null;
    this.pending = null;
    if (found.done) throw new LineError(GONE);
    return Array.from(found.value, (one) => String.fromCharCode(one)).join("");
  }

  async line(what, end) {
    for (;;) {
      const at = this.received.indexOf("\n");
      if (at >= 0) {
        const line = this.received.slice(0, at).replace(/\r$/, "");
        this.received = this.received.slice(at + 1);
        return line;
      }
      if (this.received.length > MOST_LINE) throw new LineError("Something sends a line without an end, not tinyedge: choose another port.");
      const some = await this.read(end - performance.now());
      if (some === null) throw new LineError(`The board did not answer “${what}”: reset it, or choose another port.`);
      this.received += some;
    }
  }
}

function otherFirmware(command) {
  return new LineError(`The board answers “${command}” as this version's firmware does not: build and flash it again.`);
}

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; ++bit) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}

/* The board */

let board = null; // {line, info, fits, classes}: the one that is connected.
const boardButtons = []; // What needs it.

function sayOfBoard(text, isWrong = false) {
  $("board-message").textContent = text;
  $("board-message").classList.toggle("wrong", isWrong);
}

async function connectBoard() {
  if (board !== null) {
    await dropBoard();
    sayOfBoard("The board is disconnected.");
    return;
  }
  let port;
  try {
    port = await navigator.serial.requestPort();
  } catch (error) {
    sayOfBoard(error.name === "NotFoundError" ? "No port was chosen." : `The browser gives no port (${error.message}).`, true);
    return;
  }
  await guarded("Looking for a board …", async () => {
    const line = await BoardLine.open(port);
    board = { line, info: null, fits: false, classes: [] };
    port.addEventListener?.("disconnect", () => {
      if (board?.line !== line) return;
      sayOfBoard(GONE, true);
      dropBoard();
    });
    board.info = await line.info();
    showBoard();
    await showBoardClasses();
    if (board.fits) sayOfBoard("The board runs this model.");
  });
}

/** Does something with the board; whatever goes wrong is a sentence, and a line that is lost is closed. */
async function guarded(begun, work) {
  sayOfBoard(begun);
  for (const one of [$("connect"), ...boardButtons]) one.disabled = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    sayOfBoard(error.message, true);
    if (error.message === GONE) await dropBoard();
  } finally {
    enableBoard();
  }
}

async function dropBoard() {
  if (board === null) return;
  const { line } = board;
  board = null;
  await line.close();
  $("board-facts").replaceChildren();
  $("board-classes").replaceChildren();
  enableBoard();
}

function enableBoard() {
  $("connect").disabled = false;
  $("connect").textContent = board === null ? "Connect a board" : "Disconnect it";
  for (const one of boardButtons) one.disabled = !board?.fits;
  $("board-learning").hidden = !board?.fits || board.classes.length === 0;
}

function showBoard() {
  const { info } = board;
  const bytes = input?.byteLength ?? about.input.width * about.input.height * about.input.channels * new ARRAYS[about.input.dtype]().BYTES_PER_ELEMENT;
  const mine = typeof info.sha256 === "string" && info.sha256.length === 16 && about.sha256.startsWith(info.sha256);
  board.fits = mine && info.db_bytes === bytes;
  const rows = [
    ["Board", `${info.board} (${info.cpu})`],
    ["Model", `${info.name} (${info.sha256})`],
    ["Firmware", `tinyedge ${info.version}, ${info.runtime}, kernels: ${info.instruction_set}`],
    ["Clock", `${(info.clock_hz / 1e6).toLocaleString("en")} MHz`],
    ["RAM", `${info.arena_bytes?.toLocaleString("en")} bytes of arena, ${info.stack_used_bytes?.toLocaleString("en")} of the stack were in use`],
    ["Classes", info.classes ? `room for ${info.classes}` : "none: build it with --enroll"],
  ];
  $("board-facts").replaceChildren();
  for (const [term, text] of rows) $("board-facts").append(element("dt", "", term), element("dd", "", text));
  if (!mine) sayOfBoard(`The board runs another model, ${info.name} (${info.sha256}): build and flash this one.`, true);
  else if (!board.fits) sayOfBoard(`The board takes ${info.db_bytes} bytes of input, not ${bytes}: build it without --mlperf.`, true);
}

async function showBoardClasses() {
  if (!board.fits || !board.info.classes) return;
  board.classes = await board.line.numbers("te classes", "te-classes", board.info.classes);
  $("board-classes").replaceChildren();
  board.classes.forEach((count, which) => {
    const item = element("li", "");
    const buttons = element("div", "buttons");
    buttons.append(
      button("Add this picture", () => teachBoard(which)),
      button("Forget", () => forgetOnBoard(which)),
    );
    for (const made of buttons.children) made.setAttribute("aria-label", `${made.textContent}: class ${which} of the board`);
    item.append(element("span", "label", `Class ${which}: ${count} ${count === 1 ? "picture" : "pictures"}`), buttons);
    $("board-classes").append(item);
  });
}

/** Loads the picture that is shown; false where there is none. */
async function loadPicture() {
  if (input === null) {
    sayOfBoard("There is no picture yet: choose an image or use the camera.", true);
    return null;
  }
  const sent = input.slice();
  await board.line.load(new Uint8Array(sent.buffer));
  return sent;
}

function runOnBoard() {
  return guarded("The board runs the picture …", async () => {
    const sent = await loadPicture();
    if (sent === null) return;
    const { bytes, microseconds } = await board.line.infer();
    const { outputs } = model.run(sent);
    const own = outputs.map((one) => new Uint8Array(one.buffer)).find((one) => one.length === bytes.length);
    const same = own?.every((one, at) => one === bytes[at]) ?? false;
    const time = board.info.count_unit === "cycles" ? `, in ${milliseconds(microseconds / 1000)} by its clock` : "";
    if (same) sayOfBoard(`The board gives the same ${bytes.length} bytes as this page${time}.`);
    else sayOfBoard(`The board gives ${bytes.length} bytes, and not those of this page${time}: report it.`, true);
  });
}

function teachBoard(which) {
  return guarded("The board learns …", async () => {
    if ((await loadPicture()) === null) return;
    const [, count] = await board.line.numbers(`te enroll ${which}`, "te-enroll", 2, INFERENCE_MS);
    await showBoardClasses();
    sayOfBoard(`The board's class ${which} has ${count === 1 ? "1 picture" : `${count} pictures`}.`);
  });
}

function classifyOnBoard() {
  return guarded("The board looks at the picture …", async () => {
    if ((await loadPicture()) === null) return;
    const [which, distance] = await board.line.numbers("te classify", "te-class", 2, INFERENCE_MS);
    sayOfBoard(`The board says class ${which}, cosine ${(1 - distance / DISTANCE_ONE).toFixed(3)}.`);
  });
}

function forgetOnBoard(which) {
  return guarded("The board forgets …", async () => {
    await board.line.value(`te forget ${which}`, "te-forget");
    await showBoardClasses();
    sayOfBoard(`The board's class ${which} is forgotten.`);
  });
}

function keepOnBoard(command, said) {
  return guarded("The board's flash …", async () => {
    const [save] = await board.line.numbers(`te ${command}`, `te-${command}`, 1);
    await showBoardClasses();
    sayOfBoard(`${said} (save ${save}).`);
  });
}

function startBoard() {
  if (!("serial" in navigator)) return;
  $("board").hidden = false;
  boardButtons.push($("board-run"), $("board-classify"), $("board-save"), $("board-restore"));
  $("connect").addEventListener("click", connectBoard);
  $("board-run").addEventListener("click", runOnBoard);
  $("board-classify").addEventListener("click", classifyOnBoard);
  $("board-save").addEventListener("click", () => keepOnBoard("save", "The board's classes are in its flash"));
  $("board-restore").addEventListener("click", () => keepOnBoard("restore", "The board has the classes of its flash"));
  enableBoard();
}

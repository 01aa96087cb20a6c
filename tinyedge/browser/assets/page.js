"use strict";

const MOST_BARS = 10;
const TAKEN_AT_ONCE = 5;
const BETWEEN_TAKES_MS = 250;
const TIMED_MS = 500;
const LATENCIES = 25;

const $ = (id) => document.getElementById(id);
const about = JSON.parse($("about").textContent);
const frame = document.createElement("canvas"); // The picture as it is decoded, transparent pixels on white.
const frameContext = frame.getContext("2d", { alpha: false, willReadFrequently: true });
const view = $("view").getContext("2d");
const learned = []; // {which, name, item}: the classes that were taught here.
const latencies = [];
let model = null;
let input = null; // Of the picture that is shown.
let camera = null;

function say(text, isWrong = false) {
  $("message").textContent = text;
  $("message").classList.toggle("wrong", isWrong);
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function button(text, pressed) {
  const made = element("button", "", text);
  made.type = "button";
  made.addEventListener("click", pressed);
  return made;
}

function meter() {
  const fill = element("span", "fill");
  const track = element("span", "track");
  track.append(fill);
  track.setAttribute("aria-hidden", "true");
  return { fill, track, label: element("span", "label"), value: element("span", "value") };
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const widthOf = (share) => `${100 * Math.max(share, 0)}%`; // In CSS, without a blank.
const bytes = (count) => `${count.toLocaleString("en")} bytes`;
const milliseconds = (time) => `${time < 10 ? time.toFixed(2) : time.toFixed(1)} ms`;

/* Pictures */

/** Makes the pixels of a source the current picture, and asks the model. */
function show(source, width, height) {
  const { width: toWidth, height: toHeight } = about.input;
  if (isTooLarge(width, height, toWidth, toHeight)) throw new RangeError();
  frame.width = width;
  frame.height = height;
  frameContext.fillStyle = "#fff";
  frameContext.fillRect(0, 0, width, height);
  frameContext.drawImage(source, 0, 0, width, height);
  const pixels = frameContext.getImageData(0, 0, width, height).data;
  const rgb = coverCentre(pixels, width, height, toWidth, toHeight);
  input = model.inputOf(rgb);
  showView(width, height);
  showSeen(rgb);
  $("hint").hidden = true;
  ask();
}

function showView(width, height) {
  const { canvas } = view;
  const scale = Math.max(canvas.width / width, canvas.height / height);
  const [wide, high] = [width * scale, height * scale];
  view.drawImage(frame, (canvas.width - wide) / 2, (canvas.height - high) / 2, wide, high);
}

function showSeen(rgb) {
  const { width, height, channels } = about.input;
  const pixels = new ImageData(width, height);
  const luma = channels === 1 ? greyOf(rgb) : null;
  for (let at = 0; at < width * height; ++at) {
    for (let c = 0; c < 3; ++c) pixels.data[at * 4 + c] = luma === null ? rgb[at * 3 + c] : luma[at];
    pixels.data[at * 4 + 3] = 255;
  }
  $("seen").getContext("2d").putImageData(pixels, 0, 0);
}

/** Decodes an image file and shows it; where that cannot be done, says so and leaves all as it is. */
async function showFile(file) {
  let bitmap;
  try {
    bitmap = await sixteenBitPicture(file, about.input.white_level);
    bitmap ??= await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    say(`“${file.name}” is no image that this browser can read: give a PNG, JPEG or WebP file.`, true);
    return false;
  }
  const { width, height } = bitmap;
  stopCamera();
  try {
    show(bitmap, width, height);
  } catch { // Of a canvas too, where the browser has none of that size.
    say(`“${file.name}” has ${width} × ${height} pixels, too many or too long and narrow: give a smaller one.`, true);
    return false;
  } finally {
    bitmap.close();
  }
  return true;
}

async function showFiles(files) {
  const [file] = files;
  if (file === undefined) {
    say("That was no file: save the image first, then drop or choose it.", true);
  } else if (await showFile(file)) {
    say(`“${file.name}”${files.length > 1 ? `, the first of ${files.length} files` : ""}: ${answerText()}`);
  }
}

/* The camera */

const REFUSED = {
  NotAllowedError: "The camera was refused: allow it for this page in the browser, or choose an image.",
  NotFoundError: "There is no camera on this machine: choose an image.",
  NotReadableError: "The camera is in use by another program: close that, or choose an image.",
};

async function startCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    say("A page that came over plain http may not use a camera: open it over https or as a file, or choose an image.", true);
    return;
  }
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 640 } } });
  } catch (error) {
    say(REFUSED[error.name] ?? `The camera cannot be used (${error.name}): choose an image.`, true);
    return;
  }
  const [track] = camera.getVideoTracks();
  track.addEventListener("ended", () => {
    stopCamera();
    say("The camera has gone: connect it again, or choose an image.", true);
  });
  $("video").srcObject = camera;
  await $("video").play();
  $("camera").textContent = "Stop the camera";
  $("camera").setAttribute("aria-pressed", "true");
  say("The camera is on; its pictures stay in this page.");
  requestAnimationFrame(showCamera);
}

function showCamera() {
  if (camera === null) return;
  const video = $("video");
  if (video.videoWidth > 0) show(video, video.videoWidth, video.videoHeight);
  requestAnimationFrame(showCamera);
}

function stopCamera() {
  if (camera === null) return;
  for (const track of camera.getTracks()) track.stop();
  camera = null;
  $("video").srcObject = null;
  $("camera").textContent = "Use the camera";
  $("camera").setAttribute("aria-pressed", "false");
  say("");
}

/* Answers */

function ask() {
  const { outputs, milliseconds: time } = model.run(input);
  latencies.push(time);
  if (latencies.length > LATENCIES) latencies.shift();
  const sorted = [...latencies].sort((a, b) => a - b);
  $("latency").textContent = milliseconds(sorted[sorted.length >> 1]);
  if (about.scores !== null) showBars(model.probabilities(outputs));
  showLearned();
}

const bars = []; // {label, value, fill, track, item}, from the top.
let best = "";

function makeBars() {
  const { classes } = about.scores;
  for (const name of classes.slice(0, MOST_BARS)) {
    const bar = { ...meter(), item: element("li", "") };
    bar.label.textContent = classes.length > MOST_BARS ? "–" : name;
    bar.item.append(bar.label, bar.value, bar.track);
    $("bars").append(bar.item);
    bars.push(bar);
  }
}

function showBars(probabilities) {
  const { classes } = about.scores;
  const byShare = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a]);
  bars.forEach((bar, place) => {
    // Few classes keep their places, which reads better before a camera.
    const index = classes.length > MOST_BARS ? byShare[place] : place;
    bar.item.className = index === byShare[0] ? "first" : "";
    bar.label.textContent = classes[index];
    bar.value.textContent = percent(probabilities[index]);
    bar.fill.style.width = widthOf(probabilities[index]);
  });
  best = `${classes[byShare[0]]}, ${percent(probabilities[byShare[0]])}`;
}

function answerText() {
  const nearest = $("nearest").textContent;
  return [best, nearest.charAt(0).toLowerCase() + nearest.slice(1)].filter(Boolean).join("; ") || (about.embedding === null ? "an output" : "an embedding");
}

function timeIt() {
  const measured = input ?? model.inputOf(new Uint8Array(about.input.width * about.input.height * 3));
  let [runs, total] = [0, 0];
  while (total < TIMED_MS) {
    total += model.run(measured).milliseconds;
    ++runs;
  }
  latencies.length = 0;
  $("latency").textContent = milliseconds(total / runs);
  say(`${runs} inferences took ${milliseconds(total / runs)} each.`);
}

/* Learning */

function addClass(name) {
  const taken = new Set(learned.map(({ which }) => which));
  const which = Array.from({ length: about.embedding.classes }, (_, at) => at).find((at) => !taken.has(at));
  if (which === undefined) {
    say(`There is room for ${about.embedding.classes} classes: remove one first.`, true);
    return;
  }
  if (learned.some((one) => one.name === name)) {
    say(`There is a class “${name}” already: add pictures to it.`, true);
    return;
  }
  model.forget(which);
  const item = element("li", "");
  const shown = meter();
  const one = { which, name, item, shown, count: element("span", "value") };
  const head = element("div", "meter");
  shown.label.textContent = name;
  head.append(shown.label, shown.value, shown.track);
  const buttons = element("div", "buttons");
  buttons.append(
    button("Add this picture", () => addThis(one)),
    button(`Take ${TAKEN_AT_ONCE} from the camera`, () => takeSome(one)),
    button("Add files", () => chooseExamples(one)),
    button("Remove", () => removeClass(one)),
  );
  for (const made of buttons.children) made.setAttribute("aria-label", `${made.textContent}: ${name}`);
  item.append(head, buttons);
  learned.push(one);
  $("classes").append(item);
  showLearned();
  say(`“${name}” is a class now: show it a few pictures.`);
}

/** Adds the picture that is shown; false where that cannot be. */
function enroll(one) {
  if (input === null) {
    say("There is no picture yet: choose an image or use the camera.", true);
    return false;
  }
  model.run(input); // Another use may have overwritten the embedding.
  if (model.enroll(one.which)) return true;
  say(`“${one.name}” has ${model.count(one.which)} pictures, which is all that a class holds.`, true);
  return false;
}

function addThis(one) {
  if (!enroll(one)) return;
  ask();
  say(`“${one.name}” has learned from ${countText(one)}.`);
}

async function takeSome(one) {
  if (camera === null) await startCamera();
  for (let taken = 0; taken < TAKEN_AT_ONCE && camera !== null; ++taken) {
    await new Promise((done) => setTimeout(done, BETWEEN_TAKES_MS));
    if (camera === null || !enroll(one)) return;
    say(`“${one.name}” has learned from ${countText(one)}.`);
  }
}

let chosenFor = null;

function chooseExamples(one) {
  chosenFor = one;
  $("examples").click();
}

async function addFiles(one, files) {
  let [added, failed] = [0, ""];
  for (const file of files) {
    if (await showFile(file)) {
      if (!enroll(one)) break;
      ++added;
    } else {
      failed = $("message").textContent;
    }
  }
  if (input !== null) ask();
  if (added > 0) say(`“${one.name}” has learned from ${countText(one)}. ${failed}`.trim(), failed !== "");
}

function removeClass(one) {
  model.forget(one.which);
  learned.splice(learned.indexOf(one), 1);
  one.item.remove();
  showLearned();
  say(`“${one.name}” is forgotten.`);
  $("class-name").focus();
}

function countText(one) {
  const count = model.count(one.which);
  return count === 1 ? "1 picture" : `${count} pictures`;
}

function showLearned() {
  if (about.embedding === null) return;
  const nearest = input === null ? -1 : model.nearest();
  for (const one of learned) {
    const isKnown = input !== null && model.count(one.which) > 0;
    const similarity = isKnown ? model.similarity(one.which) : 0;
    one.shown.value.textContent = isKnown ? `${similarity.toFixed(3)} · ${countText(one)}` : countText(one);
    one.shown.fill.style.width = widthOf(similarity);
    one.item.classList.toggle("first", one.which === nearest);
  }
  const found = learned.find(({ which }) => which === nearest);
  $("nearest").textContent = found ? `Nearest: ${found.name}` : "";
}

/* The page */

function showFacts() {
  const { height, width, channels } = about.input;
  $("size").textContent = `${width} × ${height} pixels, ${channels === 1 ? "grey" : "RGB"}`;
  $("seen").width = width;
  $("seen").height = height;
  $("view").height = Math.round(($("view").width * height) / width);
  $("preprocessing").textContent = about.preprocessing;
  for (const [term, text, className] of about.facts) {
    $("facts").append(element("dt", "", term), element("dd", className, text));
  }
  if (about.embedding === null) return;
  $("room").textContent = `There is room for ${about.embedding.classes} classes; closing the page forgets them.`;
}

function listen() {
  $("camera").addEventListener("click", () => (camera === null ? startCamera() : stopCamera()));
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", async () => {
    await showFiles([...$("file").files]);
    $("file").value = ""; // Or the same file could not be chosen again.
  });
  $("measure").addEventListener("click", timeIt);
  $("new-class").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("class-name").value.trim();
    if (name === "") {
      say("A class needs a name.", true);
      return;
    }
    $("class-name").value = "";
    addClass(name);
  });
  $("examples").addEventListener("change", async () => {
    await addFiles(chosenFor, [...$("examples").files]);
    $("examples").value = "";
  });
  // Anywhere on the page: a file that is dropped beside the stage would replace the page.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    $("stage").classList.add("over");
  });
  addEventListener("dragleave", () => $("stage").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("stage").classList.remove("over");
    showFiles([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length > 0) showFiles([...event.clipboardData.files]);
  });
}

async function begin() {
  showFacts();
  try {
    model = await Model.load(about, $("module").textContent);
  } catch (error) {
    say(`This browser cannot run the model (${error.message}): use one from 2023 or later.`, true);
    return;
  }
  if (about.scores !== null) makeBars();
  $("answer").hidden = about.scores === null;
  $("teach").hidden = about.embedding === null;
  listen();
  startBoard();
}

const ready = begin();

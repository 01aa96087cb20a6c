"use strict";

const MOST_BYTES = 64 * 2 ** 20;

const $ = (id) => document.getElementById(id);
let worker = null;
let isLoaded = false;
let asked = null; // The name of the file that the worker reads.
let broken = null; // Why no file can be checked.

function say(text, isWrong = false) {
  $("message").textContent = text;
  $("message").classList.toggle("wrong", isWrong);
}

/** No file can be checked any more. */
function breakOff(reason) {
  const waited = asked === null ? "" : `“${asked}” was not checked. `;
  const what = isLoaded ? "broke off" : "did not start";
  broken = `The check ${what} (${reason}): load the page again, from a server that has all of its files.`;
  asked = null;
  worker.terminate();
  say(waited + broken, true);
}

function answered({ data }) {
  if (data.state === "ready") {
    isLoaded = true;
    say(asked === null ? "" : `“${asked}” is being checked …`);
    return;
  }
  if (data.state === "broken") {
    breakOff(data.reason);
    return;
  }
  const name = asked;
  asked = null;
  if (data.error !== undefined) {
    say(data.error, true);
    return;
  }
  $("report").innerHTML = data.html; // Python has escaped what comes from the model.
  $("report").hidden = false;
  say(`“${name}” was checked.`);
}

async function check(file) {
  if (file === undefined) return;
  if (broken !== null) {
    say(broken, true);
    return;
  }
  if (asked !== null) {
    say(`“${asked}” is still being checked: wait for it.`, true);
    return;
  }
  if (file.size > MOST_BYTES) {
    say(`“${file.name}” has ${file.size.toLocaleString("en")} bytes, which no board has: give a smaller model.`, true);
    return;
  }
  asked = file.name;
  say(isLoaded ? `“${file.name}” is being checked …` : `“${file.name}” waits for Python, which is being loaded …`);
  try {
    const content = await file.arrayBuffer();
    if (broken === null) worker.postMessage({ name: file.name, content }, [content]);
  } catch {
    asked = null;
    say(`“${file.name}” cannot be read: give a file.`, true);
  }
}

function start() {
  if (location.protocol === "file:") {
    broken = "A browser runs Python only from a server: open this folder by “python3 -m http.server”.";
    say(broken, true);
    return;
  }
  worker = new Worker("check/worker.js", { type: "module" });
  worker.addEventListener("message", answered);
  worker.addEventListener("error", () => breakOff(isLoaded ? "its worker ended" : "its worker cannot be loaded"));
  say("Python is being loaded …");
}

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  check($("file").files[0]);
  $("file").value = "";
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("stage").classList.add("over");
});
document.addEventListener("dragleave", () => $("stage").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("stage").classList.remove("over");
  check(event.dataTransfer.files[0]);
});
start();

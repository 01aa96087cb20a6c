import { loadPyodide } from "./pyodide.mjs";

const FOLDER = "/model";

async function load() {
  const python = await loadPyodide();
  await python.loadPackage("numpy", { messageCallback() {} });
  const archive = await fetch(new URL("tinyedge.zip", import.meta.url));
  if (!archive.ok) throw new Error("tinyedge.zip cannot be loaded");
  python.unpackArchive(await archive.arrayBuffer(), "zip", { extractDir: "/packages" });
  python.FS.mkdir(FOLDER);
  python.runPython(`import os, sys; sys.path.insert(0, "/packages"); os.chdir("${FOLDER}")`);
  return { python, answer: python.pyimport("tinyedge.browser.check_answer").answer };
}

function lastLine(error) {
  return String(error?.message ?? error).trim().split("\n").pop();
}

const loaded = load();
loaded.then(
  () => postMessage({ state: "ready" }),
  (error) => postMessage({ state: "broken", reason: lastLine(error) }),
);

addEventListener("message", async ({ data }) => {
  const found = await loaded.catch(() => null);
  if (found === null) return; // The page was told why.
  const { python, answer } = found;
  const path = `${FOLDER}/${data.name}`;
  try {
    python.FS.writeFile(path, new Uint8Array(data.content));
    postMessage(JSON.parse(answer(data.name)));
  } catch (error) {
    postMessage({ error: `The check of “${data.name}” ended early (${lastLine(error)}): ask \`tinyedge check\` about it.` });
  } finally {
    if (python.FS.analyzePath(path).exists) python.FS.unlink(path);
  }
});

"use strict";
// Everything that the page says is there without this script: it filters, sorts, and leads the keyboard.
document.documentElement.classList.add("js");

for (const input of document.querySelectorAll("input[data-filter]")) {
  const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const told = input.closest("p").querySelector("output");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, at) => {
      row.hidden = !words.every((word) => texts[at].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    told.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
}

function sortValue(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const number = parseFloat(cell.textContent.replace(/,/g, ""));
  return cell.classList.contains("number") ? (Number.isNaN(number) ? -Infinity : number) : cell.textContent.trim();
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === (head.classList.contains("number") ? "descending" : "ascending");
      const ascending = head.classList.contains("number") ? up : !up;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].map((row) => [sortValue(row.cells[column]), row]);
      rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (ascending ? 1 : -1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

// One stop of the Tab key a picture; the arrow keys go from part to part.
function roam(parts, tell) {
  const go = (to) => {
    const part = parts[Math.max(0, Math.min(parts.length - 1, to))];
    parts.forEach((other) => other.setAttribute("tabindex", other === part ? "0" : "-1"));
    part.focus();
  };
  parts.forEach((part, at) => {
    part.addEventListener("pointerenter", () => tell(part));
    part.addEventListener("focus", () => tell(part));
    part.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: parts.length - 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      go(steps[event.key]);
    });
  });
}

for (const figure of document.querySelectorAll("[data-plan]")) {
  const [name, text] = figure.querySelector(".readout").children;
  roam([...figure.querySelectorAll(".block")], (block) => {
    name.textContent = block.dataset.name;
    text.textContent = block.dataset.text;
  });
}

for (const figure of document.querySelectorAll("[data-map]")) {
  const [picture, text] = figure.querySelector(".readout").children;
  const parts = [...figure.querySelectorAll(".dot")];
  roam(parts, (dot) => {
    picture.style.backgroundPosition = dot.dataset.at;
    picture.style.visibility = "visible";
    text.textContent = dot.getAttribute("aria-label");
  });
  for (const button of figure.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", String(shown));
      for (const part of figure.querySelectorAll(`.plane [data-class="${button.dataset.class}"]`)) {
        part.style.display = shown ? "" : "none";
      }
    });
  }
}

// On paper nothing can be opened; what fills pages by itself stays shut.
addEventListener("beforeprint", () => {
  for (const closed of document.querySelectorAll("details:not([open], [data-long])")) closed.open = true;
});

"use strict";
for (const radio of document.querySelectorAll("input[name=view]")) {
  radio.addEventListener("change", () => { document.documentElement.dataset.view = radio.value; });
}

// The first number of a cell decides; cells without one come last, in either direction.
const numberIn = (cell) => {
  const found = cell.textContent.match(/-?\d+(\.\d+)?(e-?\d+)?/i);
  return found ? Number(found[0]) : null;
};

const compare = (a, b, column, sign) => {
  const [one, other] = [a.cells[column], b.cells[column]];
  if (column === 0) return sign * one.textContent.localeCompare(other.textContent);
  const [x, y] = [numberIn(one), numberIn(other)];
  if (x === null || y === null) return (x === null) - (y === null);
  return sign * (x - y);
};

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...(heading.textContent.trim() ? heading.childNodes : ["name"]));
    heading.replaceChildren(button);
    heading.scope = "col";
    button.addEventListener("click", () => {
      const descending = heading.ariaSort === null ? column > 0 : heading.ariaSort === "ascending";
      const rows = [...table.tBodies[0].rows].sort((a, b) => compare(a, b, column, descending ? -1 : 1));
      table.tBodies[0].append(...rows);
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.ariaSort = descending ? "descending" : "ascending";
    });
  });
  for (const heading of table.tBodies[0].querySelectorAll("th")) heading.scope = "row";
}

// Columns of a table, to be shown or not; the list is made when it is opened.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells].slice(1);
  if (headings.length < 2) continue;
  const [chooser, summary] = [document.createElement("details"), document.createElement("summary")];
  chooser.className = "columns";
  summary.textContent = "Columns";
  chooser.append(summary);
  table.closest(".scroll").before(chooser);
  chooser.addEventListener(
    "toggle",
    () => {
      for (const heading of headings) {
        const [label, box] = [document.createElement("label"), document.createElement("input")];
        box.type = "checkbox";
        box.checked = true;
        box.addEventListener("change", () => {
          for (const row of table.rows) row.cells[heading.cellIndex].hidden = !box.checked;
        });
        label.append(box, ` ${heading.textContent.trim()}`);
        chooser.append(label);
      }
    },
    { once: true },
  );
}

// A cell opens what `python -m reports explain` says of it.
const dialog = document.querySelector("dialog");
const known = JSON.parse(document.getElementById("runs").textContent);
const RUN = ["run", "seed", "weights", "commit", "device", "measured (UTC)", "seconds"];

const line = (texts, tag) => {
  const row = document.createElement("tr");
  row.append(...texts.map((text) => Object.assign(document.createElement(tag), { textContent: text })));
  return row;
};

const open = (cell, explained) => {
  const [ids, departures, command] = explained.cells[Number(cell.className.match(/\bopens-(\d+)/)[1])];
  const table = cell.closest("table");
  const heading = table.tHead.rows[0].cells[cell.cellIndex].textContent.trim();
  const name = [table.ariaLabel, cell.parentElement.cells[0].textContent.trim(), heading].join(" \u00b7 ");
  dialog.querySelector("h2").textContent = `${name}: ${cell.textContent.trim()}`;
  const runs = ids.map((id) => {
    const [seed, weights, commit, device, measured, seconds] = known.runs[id];
    return [id, seed, known.weights[weights], known.commit[commit], known.device[device], measured, seconds];
  });
  dialog.querySelector("thead").replaceChildren(line(RUN, "th"));
  dialog.querySelector("tbody").replaceChildren(...runs.map((run) => line(run, "td")));
  dialog.querySelector(".departures").textContent = `Departures from the paper: ${explained.departures[departures]}.`;
  dialog.querySelector("pre").textContent = command;
  dialog.showModal();
};

for (const data of document.querySelectorAll("script.explained")) {
  const explained = JSON.parse(data.textContent);
  for (const cell of data.closest("section").querySelectorAll("td[class*='opens-']")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    button.addEventListener("click", () => open(cell, explained));
    cell.append(button);
  }
}

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

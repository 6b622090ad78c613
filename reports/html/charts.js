"use strict";
// Each picture is drawn anew over its still, in the room that there is; its parameters hear the lists above it.
document.documentElement.classList.add("scripted");

const PANEL = 300;
const AXIS = 50;

const fitted = (spec, room) => {
  if (!spec.facet) return { ...spec, width: "container" };
  const columns = Math.max(1, Math.min(spec.columns, Math.floor(room / PANEL)));
  return { ...spec, columns, spec: { ...spec.spec, width: Math.floor(room / columns) - AXIS } };
};

const draw = (figure) => {
  const [still, data] = [figure.querySelector(".drawn"), figure.querySelector("script")];
  const drawn = document.createElement("div");
  still.before(drawn);
  const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const options = { renderer: "svg", actions: false, tooltip: { theme } };
  window
    .vegaEmbed(drawn, fitted(JSON.parse(data.textContent), figure.clientWidth), options)
    .then(() => still.remove())
    .catch((error) => {
      drawn.remove();
      console.error(error);
    });
};

for (const figure of document.querySelectorAll("figure.chart")) draw(figure);

const page = JSON.parse(document.getElementById("data").textContent);
const config = {
  background: "transparent", view: { stroke: null },
  font: "system-ui, sans-serif",
  axis: { labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal", gridOpacity: 0.35, domainColor: "#888", tickColor: "#888",
          labelColor: "#222", titleColor: "#222" },
  legend: { labelFontSize: 11, titleFontSize: 11, labelColor: "#222", titleColor: "#222" },
};

// ---------------------------------------------------------------------------------------------------- tables of rows
const decoded = new Map();

function rowsOf(name) {
  if (!decoded.has(name)) {
    const columns = Object.entries(page.tables[name]).map(([column, values]) =>
      [column, Array.isArray(values) ? values : values.codes.map((code) => (code < 0 ? null : values.levels[code]))]);
    const count = columns.length ? columns[0][1].length : 0;
    decoded.set(name, Array.from({ length: count }, (_, i) => Object.fromEntries(columns.map(([column, values]) => [column, values[i]]))));
  }
  return decoded.get(name);
}

// ---------------------------------------------------------------------------------------------------------- filters
const chosen = new Map([...document.querySelectorAll("[data-filter]")].map((button) => [button.dataset.filter, new Set()]));

/** Whether a row is to be shown; what has no value, such as an initializer without a source, always is. */
function isShown(row) {
  for (const [key, values] of chosen) {
    if (values.size && row[key] !== undefined && row[key] !== null && row[key] !== "" && !values.has(row[key])) return false;
  }
  return true;
}

// ----------------------------------------------------------------------------------------------------------- charts
const charts = [...document.querySelectorAll("figure.chart")].map((figure) => {
  const chart = page.charts[figure.dataset.chart];
  const own = rowsOf(chart.table).filter((row) => Object.entries(chart.where).every(([key, value]) => row[key] === value));
  const parameters = Object.fromEntries((chart.spec.params || []).map(({ name, value }) => [name, value]));
  return { ...chart, figure, own, parameters, view: null, stale: true, near: false };
});

/** Make a chart as wide as its place. Vega-Lite's own way to do so warns where rows make the height. */
function asWideAsItsPlace({ width, ...spec }) {
  const update = "containerSize()[0]";
  const signals = [...(spec.signals || []), { name: "width", init: update, on: [{ events: "window:resize", update }] }];
  return { ...spec, signals, autosize: { type: "fit-x", contains: "padding" } };
}

/** Return what a saved chart is called: its section and title, without what file systems refuse. */
function fileName(figure) {
  const parts = [figure.closest("section").id, figure.querySelector("figcaption").textContent];
  return parts.join("_").replace(/[^\p{L}\p{N}.@+-]+/gu, "_").slice(0, 100);
}

async function draw(chart) {
  if (!chart.stale) return;
  chart.stale = false;
  const rows = chart.own.filter(isShown);
  chart.figure.hidden = rows.length === 0;
  if (!rows.length) return;
  if (chart.view === null) {
    const spec = { ...chart.spec, datasets: { rows } };
    const options = { config, logLevel: 1,  // errors
                      renderer: chart.own.length > page.dense ? "canvas" : "svg", mode: "vega-lite", patch: asWideAsItsPlace,
                      downloadFileName: fileName(chart.figure), scaleFactor: { png: 3 },
                      actions: { export: true, source: false, compiled: false, editor: false } };
    const canvas = chart.figure.querySelector(".canvas");
    chart.view = (await window.vegaEmbed(canvas, spec, options)).view;
    canvas.style.minHeight = "";
  } else {
    chart.view.data("rows", rows);
  }
  for (const [name, value] of Object.entries(chart.parameters)) chart.view.signal(name, value);
  await chart.view.runAsync();
  chart.figure.dataset.drawn = rows.length;
}

// Between two charts, the page answers to its reader.
const whenFree = (call) => setTimeout(call);

/** Draw what is near the screen, and what was hidden, at once; the rest when there is time. */
async function drawNear() {
  document.body.dataset.drawn = "some";
  await Promise.all(charts.filter((chart) => chart.near || chart.figure.hidden).map(draw));
  document.body.dataset.drawn = "near";
  whenFree(drawRest);
}

async function drawRest() {
  const next = charts.find((chart) => chart.stale);
  if (next) {
    await draw(next);
    whenFree(drawRest);
  } else {
    document.body.dataset.drawn = "all";
  }
}

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) charts.find((chart) => chart.figure === entry.target).near = entry.isIntersecting;
  drawNear();
}, { rootMargin: "200px" });
charts.forEach((chart) => observer.observe(chart.figure));
window.addEventListener("beforeprint", () => charts.forEach(draw));
if (!charts.length) drawRest();

const tableRows = [...document.querySelectorAll("tr[data-filters]")].map((row) => [row, JSON.parse(row.dataset.filters)]);

function refresh() {
  charts.forEach((chart) => { chart.stale = true; });
  for (const [row, values] of tableRows) row.hidden = !isShown(values);
  for (const button of buttons) button.setAttribute("aria-pressed", chosen.get(button.dataset.filter).has(button.dataset.value));
  for (const field of document.querySelectorAll("fieldset.chips")) {
    field.classList.toggle("chosen", field.querySelector('[aria-pressed="true"]') !== null);
  }
  const names = [...chosen.values()].flatMap((values) => [...values]);
  document.querySelector(".filters summary output").textContent = names.length ? `: ${names.join(", ")}` : "";
  drawNear();
}

const buttons = document.querySelectorAll("[data-filter]");
for (const button of buttons) {
  button.addEventListener("click", () => {
    const values = chosen.get(button.dataset.filter), value = button.dataset.value;
    if (!values.delete(value)) values.add(value);
    refresh();
  });
}
document.querySelector(".reset")?.addEventListener("click", () => {
  chosen.forEach((values) => values.clear());
  refresh();
});

// --------------------------------------------------------------------------------------------------------- controls
for (const control of document.querySelectorAll("[data-parameter]")) {
  control.addEventListener("change", () => {
    const value = control.type === "checkbox" ? control.checked : control.value;
    for (const chart of charts) {
      if (chart.figure.closest("section") === control.closest("section") && control.dataset.parameter in chart.parameters) {
        chart.parameters[control.dataset.parameter] = value;
        chart.stale = true;
      }
    }
    drawNear();
  });
}

for (const slider of document.querySelectorAll(".slide-show input")) {
  const labels = JSON.parse(slider.dataset.labels), figure = slider.closest("figure");
  slider.addEventListener("input", () => {
    figure.querySelector("output").textContent = labels[slider.value];
    slider.setAttribute("aria-valuetext", labels[slider.value]);
    for (const strip of figure.querySelectorAll(".strip")) {
      [...strip.querySelectorAll("img")].forEach((image, i) => { image.hidden = i !== Number(slider.value); });
    }
  });
}

// ----------------------------------------------------------------------------------------------------------- tables
for (const table of document.querySelectorAll("table")) {
  const headings = [...table.querySelectorAll("th")];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [row.cells[column].dataset.value, row]);
    keyed.sort(([a], [b]) => compare(a, b, descending));
    keyed.forEach(([, row]) => body.append(row));
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }));
}

/** Order numbers by value and names by letters; what has no value comes last either way. */
function compare(a, b, descending) {
  if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
  const numbers = [Number(a), Number(b)];
  const order = numbers.some(Number.isNaN) ? a.localeCompare(b) : numbers[0] - numbers[1];
  return descending ? -order : order;
}

"use strict";
// How numbers and elements are made. Texts of the document become text nodes only, never markup.

const format = {
  number(value, digits = 4) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "not a number";
    if (Number.isInteger(value)) return value.toLocaleString("en");
    const size = Math.abs(value);
    if (size < 1e-3 || size >= 1e6) return value.toExponential(digits - 1);
    return value.toLocaleString("en", {maximumSignificantDigits: Math.max(digits, 4)});
  },
  percent(value) {
    return Number.isFinite(value) && value !== null ? (100 * value).toFixed(2) + " %" : "not a number";
  },
  metric(value, info) {
    return info && info.percent ? format.percent(value) : format.number(value);
  },
  seconds(s) {
    if (s === null || !Number.isFinite(s)) return "unknown";
    if (s === 0) return "0 s";
    if (s < 1e-3) return (1e6 * s).toFixed(s < 1e-5 ? 1 : 0) + " µs";
    if (s < 1) return (1e3 * s).toPrecision(3) + " ms";
    if (s < 120) return s.toPrecision(3) + " s";
    const all = Math.round(s), minutes = Math.round(s / 60);
    if (s < 7200) return Math.floor(all / 60) + " min " + all % 60 + " s";
    return Math.floor(minutes / 60) + " h " + minutes % 60 + " min";
  },
  // Short, for axes.
  tick(s) {
    if (s < 120) return format.seconds(s);
    const [value, unit] = s < 7200 ? [s / 60, " min"] : [s / 3600, " h"];
    return Number(value.toPrecision(3)) + unit;
  },
  bytes(n) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let at = 0;
    while (n >= 1000 && at + 1 < units.length) { n /= 1000; ++at; }
    return (at === 0 ? n : n.toPrecision(3)) + " " + units[at];
  },
  dollars(d) {
    if (d === null || d === undefined || !Number.isFinite(d)) return "unknown";
    if (d === 0) return "$0";
    return "$" + (d >= 100 ? d.toFixed(0) : d >= 1 ? d.toFixed(2) : d.toPrecision(3));
  },
  // A feature without a name is known by its number.
  feature(name) { return /^\d+$/.test(name) ? "feature " + name : name; },
  words(name) { return String(name).replaceAll("_", " "); },
};

// make("p", {class: "x", onclick: f}, "text", element…)
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat())
    if (child !== null && child !== undefined) element.append(child);
  return element;
}

// A moment in milliseconds since 1970, to the minute, in the reader's zone.
function minuteOf(ms) {
  const at = new Date(ms), two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

// A text of the user's, which may be written from right to left.
function own(text) { return make("bdi", {}, String(text)); }

// A group of buttons of which one is pressed.
function choice(label, values, chosen, changed) {
  const buttons = values.map(([value, text]) => make("button", {
    type: "button", "aria-pressed": String(value === chosen),
    onclick: (event) => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      changed(value);
    }}, text));
  return make("span", {class: "group", role: "group", "aria-label": label}, make("span", {}, label), ...buttons);
}

// columns: [{name, text?: true}]; rows: lists of numbers, texts or elements.
function table(columns, rows, options = {}) {
  const most = options.most || 500;
  const shown = rows.slice(0, most);
  const body = make("tbody", {}, shown.map((row) => make("tr", {}, row.map((cell, i) =>
      make(i === 0 ? "th" : "td", {class: columns[i].text ? "text" : null, scope: i === 0 ? "row" : null},
           typeof cell === "number" ? format.number(cell) : cell === null ? "–" : cell)))));
  const head = make("thead", {}, make("tr", {}, columns.map((column) =>
      make("th", {scope: "col", class: column.text ? "text" : null}, column.name))));
  const parts = [make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": options.label || "table"},
                      make("table", {}, head, body))];
  if (rows.length > most)
    parts.push(make("p", {class: "about"}, `The first ${most} of ${format.number(rows.length)} rows.`));
  return parts;
}

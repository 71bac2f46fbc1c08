"use strict";
// What pages of runs, searches and comparisons share.

function section(id, title, ...children) {
  const present = children.flat().filter((child) => child !== null && child !== undefined);
  return present.length === 0 ? null : make("section", {id, "aria-labelledby": id + "-title"},
                                            make("h2", {id: id + "-title"}, title), ...present);
}

function tile(name, value, more) {
  return make("div", {class: "tile"}, make("div", {class: "name"}, name), make("div", {class: "value"}, value),
              more ? make("div", {class: "more"}, more) : null);
}

function tiles(list) { return make("div", {class: "tiles"}, list.filter(Boolean)); }

function notices(item) {
  const warnings = (item.summary && item.summary.warnings) || [];
  const all = [...warnings, ...item.notes];
  if (all.length === 0) return null;
  return make("div", {class: "notice", role: "note"}, make("ul", {}, all.map((text) => make("li", {}, own(text)))));
}

function pill(state) { return make("span", {class: "pill " + String(state).split(" ")[0]}, state); }

function nameOf(item) {
  const folder = String(item.place || "").replace(/\/+$/, "").split("/").pop();
  return folder || item.job_id || item.search_id || "run";
}

// The metrics that have numbers, grouped by what they measure: [{metric, percent, names}].
function metricGroups(items) {
  const groups = new Map();
  for (const item of items)
    for (const info of item.metrics || []) {
      const column = item.curves && item.curves.columns[info.name];
      if (!column || !column.some((v) => v !== null)) continue;
      if (!groups.has(info.metric)) groups.set(info.metric, {metric: info.metric, percent: info.percent, help: info.help, infos: new Map()});
      groups.get(info.metric).infos.set(info.name, info);
    }
  const known = new Set([...groups.values()].flatMap((group) => [...group.infos.keys()]));
  const times = new Set(["compute_s", "comm_s", "rounds"]);
  for (const item of items)
    for (const [name, column] of Object.entries((item.curves && item.curves.columns) || {}))
      if (!known.has(name) && !times.has(name) && column.some((v) => v !== null))
        if (!groups.has(name)) groups.set(name, {metric: name, percent: false, help: "", infos: new Map([[name, {name, rows: ""}]])});
  return [...groups.values()];
}

const xAxes = {
  epoch: {text: "epoch", of: (curves) => curves.epoch, format: (v) => Number.isInteger(v) ? format.number(v) : ""},
  seconds: {text: "time", of: (curves) => curves.seconds, format: (v) => format.seconds(v), tick: (v) => format.tick(v)},
  usd: {text: "dollars", of: (curves) => curves.usd, format: (v) => format.dollars(v)},
};

// Learning curves of one run or several, with their controls.
function learningCurves(items) {
  const groups = metricGroups(items);
  if (groups.length === 0) return null;
  const state = {group: groups[0], x: "epoch", log: false};
  const series = () => items.flatMap((item, i) => [...state.group.infos.values()].map((info, k) => ({item, i, info, k}))
      .filter(({item: of, info}) => of.curves && of.curves.columns[info.name]));
  const format_y = (v) => state.group.percent ? format.percent(v) : format.number(v);
  const dash = (rows) => ({train: [], valid: [7, 4], test: [2, 3]})[rows] || [];
  const element = plot(curveWords(items, groups[0]), () => {
    const x = xAxes[state.x];
    return lineChart({
      series: series().map(({item, i, info, k}) => line(
          (items.length > 1 ? nameOf(item) + ": " : "") + (info.rows || format.words(info.name)),
          points(x.of(item.curves), item.curves.columns[info.name]), theme.series(items.length > 1 ? i : k),
          {borderDash: items.length > 1 ? dash(info.rows) : []})),
      x: x.text, y: format.words(state.group.metric), format_x: x.format, tick_x: x.tick || x.format, format_y, log_y: state.log,
      hover: items.length > 1 ? "nearest" : "index",
    });
  });
  const about = make("p", {class: "about"}, curveWords(items, state.group));
  const redraw = () => {
    about.textContent = curveWords(items, state.group);
    element.firstChild.setAttribute("aria-label", about.textContent);
    element.redraw();
  };
  const metric = make("select", {"aria-label": "metric", onchange: (event) => {
    state.group = groups[event.target.selectedIndex];
    redraw();
  }}, groups.map((group) => make("option", {}, format.words(group.metric))));
  const log = make("input", {type: "checkbox", onchange: (event) => { state.log = event.target.checked; redraw(); }});
  const result = figure("Learning curves", null, [
    make("label", {class: "group"}, "metric", metric),
    choice("by", Object.entries(xAxes).map(([key, axis]) => [key, axis.text]), "epoch", (value) => { state.x = value; redraw(); }),
    make("label", {class: "group"}, log, "logarithmic"),
  ], element, () => curveTable(items, groups));
  result.querySelector("figcaption").append(about);
  result.refresh = redraw;  // after the items got more epochs
  return result;
}

function curveWords(items, group) {
  const parts = [];
  for (const item of items.slice(0, 4))
    for (const info of group.infos.values()) {
      const column = item.curves && item.curves.columns[info.name];
      if (!column) continue;
      const known = column.filter((v) => v !== null);
      if (known.length === 0) continue;
      const show = (v) => group.percent ? format.percent(v) : format.number(v);
      parts.push(`${items.length > 1 ? nameOf(item) + " " : ""}${info.rows || format.words(info.name)} from ${show(known[0])} to ${show(known[known.length - 1])}`);
    }
  return `${format.words(group.metric)}: ${parts.join("; ")}.`;
}

function curveTable(items, groups) {
  const item = items[0];
  const names = groups.flatMap((group) => [...group.infos.keys()]);
  if (items.length === 1)
    return {columns: [{name: "epoch"}, {name: "time"}, {name: "dollars"}, ...names.map((name) => ({name: format.words(name)}))],
            rows: item.curves.epoch.map((epoch, i) => [epoch, format.seconds(item.curves.seconds[i]), format.dollars(item.curves.usd[i]),
                  ...names.map((name) => item.curves.columns[name] ? item.curves.columns[name][i] : null)])};
  const rows = items.flatMap((one) => one.curves.epoch.map((epoch, i) => [nameOf(one), epoch, format.seconds(one.curves.seconds[i]),
      format.dollars(one.curves.usd[i]), ...names.map((name) => one.curves.columns[name] ? one.curves.columns[name][i] : null)]));
  return {columns: [{name: "run"}, {name: "epoch"}, {name: "time"}, {name: "dollars"}, ...names.map((name) => ({name: format.words(name)}))], rows};
}

// Options as a table: those that differ from their defaults first, all of them on request.
function optionsCard(title, options) {
  if (!options || options.length === 0) return null;
  const changed = options.filter((option) => option.changed);
  const body = make("div");
  let all = changed.length === 0, filter = "";
  const show = () => {
    const rows = (all ? options : changed).filter((o) => (o.name + " " + o.value + " " + o.help).toLowerCase().includes(filter));
    body.replaceChildren(...table([{name: "option", text: true}, {name: "value", text: true}, {name: "meaning", text: true}],
        rows.map((o) => [make("code", {}, o.name), make("code", {}, own(o.value === "" ? "–" : o.value), o.unit ? " " + o.unit : ""), o.help]),
        {label: title}));
    for (const row of body.querySelectorAll("tbody tr")) row.children[1].classList.add("value");
  };
  show();
  return make("div", {class: "card"}, make("h3", {}, title), make("div", {class: "controls", style: "margin-top: .5rem"},
      choice("show", [["changed", `changed (${changed.length})`], ["all", `all (${options.length})`]], all ? "all" : "changed",
             (value) => { all = value === "all"; show(); }),
      make("label", {class: "group"}, "find", make("input", {type: "search", oninput: (event) => {
        filter = event.target.value.toLowerCase();
        show();
      }}))), body);
}

function commandCard(title, command, more) {
  if (!command) return null;
  const told = make("span", {class: "about", role: "status"});
  return make("div", {class: "card"}, make("h3", {}, title), make("pre", {}, own(command)),
      make("button", {type: "button", class: "copy", onclick: async () => {
        try { await navigator.clipboard.writeText(command); told.textContent = " copied"; }
        catch { told.textContent = " select the text to copy it"; }
      }}, "Copy"), told, more || null);
}

// Coefficients, confusion matrix, ROC curves.
function modelSection(item) {
  const model = item.model;
  if (!model) return null;
  const parts = [];
  if (model.measures) {
    const {rows, ...measures} = model.measures;
    parts.push(make("p", {class: "about"}, `Measured on ${format.number(rows)} rows of `, own(model.measured_on), "."));
    parts.push(tiles(Object.entries(measures).filter(([, v]) => typeof v === "number")
        .map(([name, v]) => tile(format.words(name), format.number(v)))));
    parts.push(make("div", {style: "height: 1rem"}));
  }
  const pair = [];
  if (model.confusion) pair.push(confusionFigure(model.confusion));
  if (model.roc) pair.push(rocFigure(model.roc));
  if (pair.length) parts.push(make("div", {class: "two"}, pair), make("div", {style: "height: 1rem"}));
  if (model.coefficients && model.coefficients.length) parts.push(coefficientsFigure(model));
  if (parts.length === 0) return null;
  if (!model.measures)
    parts.unshift(make("p", {class: "about"}, "For a confusion matrix and ROC curves, give labelled rows: lambdaml report … --data FILE."));
  return section("model", "Model", parts);
}

function confusionFigure(confusion) {
  const {labels, counts} = confusion;
  const sums = counts.map((row) => row.reduce((a, b) => a + b, 0));
  const right = counts.reduce((sum, row, i) => sum + row[i], 0);
  const about = `${format.percent(right / Math.max(1, sums.reduce((a, b) => a + b, 0)))} of the rows lie on the diagonal.` +
      (confusion.classes > labels.length ? ` The ${labels.length} most frequent of ${confusion.classes} classes.` : "");
  const cell = (n, i, j) => {
    const share = sums[i] ? n / sums[i] : 0;
    // On tones between 46 and 74 % neither colour of text could be read in both themes.
    const tone = share > .5 ? 48 + 52 * share : 88 * share;
    return make("td", {style: `background: color-mix(in srgb, var(--high) ${Math.round(tone)}%, var(--card)); color: ${share > .5 ? "var(--card)" : "var(--text)"}`,
                       title: `${labels[i]} predicted as ${labels[j]}: ${format.percent(share)}`}, format.number(n));
  };
  const head = make("tr", {}, make("th", {class: "name", scope: "col"}, "label \\ predicted"), labels.map((label) => make("th", {scope: "col"}, own(label))));
  const body = counts.map((row, i) => make("tr", {}, make("th", {scope: "row"}, own(labels[i])), row.map((n, j) => cell(n, i, j))));
  return figure("Confusion matrix", about, null,
      make("div", {class: "scroll confusion", tabindex: "0", role: "region", "aria-label": "confusion matrix"},
           make("table", {}, make("thead", {}, head), make("tbody", {}, body))));
}

function rocFigure(curves) {
  const about = curves.map((curve) => `${curves.length > 1 ? curve.label + ": " : ""}area ${curve.auc.toFixed(4)}`).join(", ");
  const element = plot("ROC curve, " + about, () => {
    const series = curves.map((curve, i) => line(`${curve.label}, area ${curve.auc.toFixed(3)}`, points(curve.x, curve.y), theme.series(i), {pointRadius: 0}));
    series.push(line("chance", [{x: 0, y: 0}, {x: 1, y: 1}], theme.colour("soft"), {borderDash: [4, 4], borderWidth: 1, pointRadius: 0}));
    const share = (v) => Math.round(100 * v) + " %";
    const config = lineChart({series, x: "share of other rows above the threshold", y: "share of the class above it", format_x: share, format_y: share, hover: "nearest"});
    Object.assign(config.options.scales.x, {min: 0, max: 1});
    Object.assign(config.options.scales.y, {min: 0, max: 1});
    return config;
  });
  return figure("ROC", about, null, element, () => ({
    columns: [{name: "class"}, {name: "others above"}, {name: "class above"}],
    rows: curves.flatMap((curve) => curve.x.map((x, i) => [own(curve.label), format.percent(x), format.percent(curve.y[i])])),
  }));
}

function coefficientsFigure(model) {
  const classes = new Set(model.coefficients.map((c) => c.class));
  const names = model.coefficients.map((c) => format.feature(c.feature) + (classes.size > 1 ? " · " + c.class : ""));
  const values = model.coefficients.map((c) => c.value);
  const about = `The ${names.length} largest of ${format.number(model.coefficients_not_zero)} coefficients that are not zero` +
      (classes.size === 1 && model.coefficients[0].class !== undefined ? ` (towards ${model.coefficients[0].class})` : "") +
      `; ${names[0]} has the largest, ${format.number(values[0])}.`;
  const element = plot("Largest coefficients. " + about, () => barChart({
    labels: names, values, colours: values.map((v) => theme.colour(v > 0 ? "series-0" : "series-1")), y: "coefficient",
    format_y: (v) => format.number(v), horizontal: true}));
  element.style.height = 60 + 19 * names.length + "px";
  return figure("Largest coefficients", about, null, element, () => ({
    columns: [{name: "feature", text: true}, {name: "class", text: true}, {name: "coefficient"}],
    rows: model.coefficients.map((c) => [own(format.feature(c.feature)), c.class === undefined ? "–" : own(c.class), c.value])}));
}

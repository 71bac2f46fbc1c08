"use strict";
// The parts of a page about a search.

function searchLead(item) {
  const s = item.summary;
  if (!s.strategy) return "";
  return [`${s.strategy} over ${(item.space || []).map((p) => p.name).join(", ") || "options"}`, `${item.trials.length} trials`, `metric ${s.metric}`,
          s.ended_by ? `ended by ${s.ended_by}` : ""].filter(Boolean).join(" · ");
}

// Of a trial: the value of the search's metric.
function valueOf(item, trial) {
  const v = trial[item.summary.metric];
  return typeof v === "number" ? v : NaN;
}

function isBetter(item, a, b) { return item.higher_is_better ? a > b : a < b; }

// The range of values to draw: a trial that diverged would press all others together, so the bad side ends
// at Tukey's fence, one and a half times the middle half's width beyond it.
function drawnRange(item, values) {
  const sorted = values.filter((v) => v !== null && Number.isFinite(v)).sort((a, b) => a - b);
  const at = (q) => sorted[Math.round(q * (sorted.length - 1))];
  const margin = 1.5 * (at(.75) - at(.25));
  return item.higher_is_better ? [Math.max(at(0), at(.25) - margin), at(1)] : [at(0), Math.min(at(1), at(.75) + margin)];
}

// The bound of an axis of values for that range: the marks at its bad end are whole.
function boundOf(item, [low, high]) {
  const margin = .05 * (high - low);
  return low < high ? item.higher_is_better ? {min: low - margin} : {max: high + margin} : {};
}

// How many values the range leaves out, as a sentence; empty if none.
function saysBeyond(item, values, [low, high], what) {
  const n = values.filter((v) => v !== null && Number.isFinite(v) && (v < low || v > high)).length;
  return n === 0 ? "" : ` ${n} ${what} ${n === 1 ? "lies" : "lie"} beyond what is drawn.`;
}

function bestTrial(item) {
  let best = null;
  for (const trial of item.trials)
    if (!Number.isNaN(valueOf(item, trial)) && (best === null || isBetter(item, valueOf(item, trial), valueOf(item, best)))) best = trial;
  return best;
}

function searchTiles(item) {
  const s = item.summary, best = bestTrial(item);
  const info = (item.metrics || []).find((one) => one.name === s.metric);
  return tiles([
    best ? tile("best " + format.words(s.metric), format.metric(valueOf(item, best), info), `trial ${best.trial}`) : null,
    tile("trials", format.number(item.trials.length), ["done", "stopped", "failed", "running"].filter((state) => s["trials_" + state]).map((state) => `${s["trials_" + state]} ${state}`).join(", ")),
    s.search_epochs !== undefined ? tile("epochs", format.number(s.search_epochs), "of all trials") : null,
    s.search_wall_s ? tile("time", format.seconds(s.search_wall_s), s.cost_so_far_usd !== undefined ? "so far" : "") : null,
    s.left_s !== undefined ? tile("time left", format.seconds(s.left_s), "an estimate") : null,
    s.cost_so_far_usd !== undefined ? tile("cost so far", format.dollars(s.cost_so_far_usd),
        s.cost_usd_at_end !== undefined ? `${format.dollars(s.cost_usd_at_end)} at the end, an estimate` : "an estimate")
        : s.search_cost_usd !== undefined ? tile("cost", format.dollars(s.search_cost_usd), "of all trials") : null,
    s.search_killed_usd ? tile("cost of killed jobs", format.dollars(s.search_killed_usd), "within the cost, an estimate") : null,
  ]);
}

function parameterNames(item) {
  if (item.space && item.space.length) return item.space.map((p) => p.name);
  return [...new Set(item.trials.flatMap((trial) => Object.keys(trial.options || {})))];
}

// Of a search with cross-validation: each fold's value of the metric, as they come.
function foldColumn(item, infos) {
  const folds = Number(((item.settings || []).find((option) => option.name === "folds") || {}).value) || 0;
  if (!item.trials.some((trial) => (trial.fold_values || []).length)) return [];
  const info = infos[item.summary.metric];
  return [{name: "folds", of: (t) => (t.fold_values || []).length, text: true,
           show_trial: (t) => (t.fold_values || []).map((v) => format.metric(v, info)).join(", ") +
               ((t.fold_values || []).length < folds && t.state === "running" ? ` (${(t.fold_values || []).length} of ${folds})` : "")}];
}

function trialTable(item, rows_of) {
  const names = parameterNames(item);
  const metrics = (item.metrics || []).map((m) => m.name).filter((name) => item.trials.some((trial) => typeof trial[name] === "number"));
  const infos = Object.fromEntries((item.metrics || []).map((info) => [info.name, info]));
  const columns = [
    {name: "trial", of: (t) => t.trial}, {name: "state", of: (t) => t.state, text: true},
    ...names.map((name) => ({name, of: (t) => (t.options || {})[name], text: item.trials.some((t) => typeof (t.options || {})[name] === "string")})),
    {name: "epochs", of: (t) => t.epochs},
    ...metrics.map((name) => ({name: format.words(name), key: name, of: (t) => t[name], show: (v) => format.metric(v, infos[name])})),
    ...foldColumn(item, infos),
    {name: "dollars", of: (t) => t.cost_usd, show: (v) => format.dollars(v)}, {name: "time", of: (t) => t.wall_s, show: (v) => format.seconds(v)},
  ];
  if (item.trials.some((t) => t.reason)) columns.push({name: "reason", of: (t) => t.reason || "", text: true});
  const start = columns.find((column) => column.key === item.summary.metric) || columns[0];
  const most = 60;
  const state = {by: start, up: start.key ? !item.higher_is_better : true, all: false};
  const body = make("tbody");
  const best = bestTrial(item);
  const buttons = columns.map((column) => make("button", {type: "button", onclick: () => {
    state.up = state.by === column ? !state.up : true;
    state.by = column;
    show();
  }}, own(column.name)));
  const head = columns.map((column, i) => make("th", {scope: "col", class: column.text ? "text" : null}, buttons[i]));
  const show = () => {
    head.forEach((th, i) => th.setAttribute("aria-sort", columns[i] !== state.by ? "none" : state.up ? "ascending" : "descending"));
    buttons.forEach((button, i) => button.replaceChildren(own(columns[i].name), columns[i] !== state.by ? "" : state.up ? " ▲" : " ▼"));
    const of = (t) => { const v = state.by.of(t); return v === null || v === undefined ? NaN : v; };
    const less = (a, b) => typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a - b;
    const unknown = (v) => typeof v === "number" && Number.isNaN(v);
    const sorted = [...item.trials].sort((a, b) => unknown(of(a)) ? 1 : unknown(of(b)) ? -1 : (state.up ? 1 : -1) * less(of(a), of(b)));
    const shown = state.all ? sorted : sorted.slice(0, most);
    body.replaceChildren(...shown.map(rowOf));
  };
  const rowOf = (trial) => {
    if (rows_of.has(trial)) return rows_of.get(trial);
    const row = make("tr", {class: trial === best ? "best" : null}, columns.map((column, k) => {
      const v = column.of(trial);
      const text = column.show_trial ? column.show_trial(trial) : v === undefined || v === null ? "–" : column.show ? column.show(v) : typeof v === "number" ? format.number(v) : own(v);
      return make(k === 0 ? "th" : "td", {scope: k === 0 ? "row" : null, class: column.text ? "text" : null}, k === 0 ? String(v) + (trial === best ? " ★" : "") : text);
    }));
    rows_of.set(trial, row);
    return row;
  };
  show();
  return make("div", {class: "card"}, make("h3", {}, "Trials"), make("p", {class: "about"}, "★ is the best one. The headings sort."),
      make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": "trials"},
           make("table", {}, make("thead", {}, make("tr", {}, head)), body)),
      item.trials.length <= most ? null : make("div", {class: "controls", style: "margin: .7rem 0 0"},
          choice("show", [[false, `the first ${most}`], [true, `all ${item.trials.length}`]], false, (value) => { state.all = value; show(); })));
}

function parallelFigure(item, rows_of) {
  const names = parameterNames(item);
  const values = item.trials.map((trial) => valueOf(item, trial));
  if (names.length === 0 || values.every(Number.isNaN)) return null;
  const log_names = new Set((item.space || []).filter((p) => p.kind === "log_uniform").map((p) => p.name));
  const axes_of = names.map((name) => ({name, log: log_names.has(name), values: item.trials.map((t) => (t.options || {})[name])}));
  const [low, high] = drawnRange(item, values);
  const cut = values.map((v) => Number.isNaN(v) ? NaN : Math.max(low, Math.min(high, v)));
  // What is beyond the range is drawn at its end.
  axes_of.push({name: format.words(item.summary.metric), values: cut, exact: values,
                beyond: [values.some((v) => v < low), values.some((v) => v > high)]});
  const shares = cut.map((v) => high === low ? 0 : (item.higher_is_better ? high - v : v - low) / (high - low));
  let marked = null;
  const parallel = new Parallel(axes_of, shares, (k) => {
    if (marked) marked.classList.remove("chosen");
    marked = k < 0 ? null : rows_of.get(item.trials[k]);
    if (marked) marked.classList.add("chosen");
  });
  parallel.names = item.trials.map((trial) => trial.trial);
  const best = bestTrial(item);
  const about = `A line per trial from its options to its ${format.words(item.summary.metric)}, from good (blue) to bad (orange). ` +
      `The best one has ${names.map((name) => `${name} ${typeof best.options[name] === "number" ? format.number(best.options[name]) : best.options[name]}`).join(", ")}.`;
  parallel.canvas.setAttribute("aria-label", "Parallel coordinates. " + about + " The table of trials has the same numbers.");
  return figure("Options and result", about, [make("span", {class: "about"}, "drag along an axis to keep a range; click on it to lift that"),
      make("button", {type: "button", onclick: () => { parallel.limits.fill(null); parallel.draw(); }}, "all trials")], parallel.element);
}

function trialCurves(item) {
  const metric = item.summary.metric;
  const with_curves = item.trials.filter((trial) => trial.curves && trial.curves.columns[metric]);
  const name = with_curves.length ? metric : null;
  if (!name) return null;
  const best = bestTrial(item);
  const state = {x: "epoch", log: false};
  const known = with_curves.map((trial) => valueOf(item, trial)).filter((v) => !Number.isNaN(v)).sort((a, b) => a - b);
  const rank = (trial) => {
    const v = valueOf(item, trial);
    if (Number.isNaN(v) || known.length < 2) return 1;
    const share = known.indexOf(v) / (known.length - 1);
    return item.higher_is_better ? 1 - share : share;
  };
  const info = (item.metrics || []).find((one) => one.name === name);
  const drawn = with_curves.flatMap((trial) => trial.curves.columns[name]);
  const range = drawnRange(item, drawn);
  const about = `${format.words(name)} of ${with_curves.length} trials; the best one is thick.` + saysBeyond(item, drawn, range, "of the values");
  // One line for all trials of a colour, with gaps between them: hundreds of lines would be slow.
  const shades = 12;
  const element = plot(about, () => {
    const of = (curves) => state.x === "epoch" ? curves.epoch : curves.seconds;
    const data = Array.from({length: shades + 1}, () => []);
    for (const trial of with_curves) {
      const to = data[trial === best ? shades : Math.min(shades - 1, Math.floor(rank(trial) * shades))];
      let epoch = 0;
      points(of(trial.curves), trial.curves.columns[name]).forEach((point, i) => {
        if (trial.curves.epoch[i] <= epoch) to.push({x: NaN, y: NaN});  // another fold
        epoch = trial.curves.epoch[i];
        to.push({...point, trial: trial.trial});
      });
      to.push({x: NaN, y: NaN});
    }
    const alpha = with_curves.length > 100 ? 40 : 70;
    const series = data.map((list, i) => line("", list, i === shades ? theme.colour("text")
        : `color-mix(in srgb, color-mix(in srgb, ${theme.colour("series-1")} ${Math.round(100 * i / (shades - 1))}%, ${theme.colour("series-0")}) ${alpha}%, transparent)`,
        {borderWidth: i === shades ? 3 : 1, pointRadius: 0, pointHitRadius: 0, order: i === shades ? 0 : 1, parsing: true, normalized: false}));
    const config = lineChart({series, x: state.x === "epoch" ? "epoch" : "time", y: format.words(name), format_x: state.x === "epoch" ? xAxes.epoch.format : xAxes.seconds.format,
                              tick_x: state.x === "epoch" ? xAxes.epoch.format : xAxes.seconds.tick,
                              format_y: (v) => format.metric(v, info), log_y: state.log, shown_legend: false});
    config.options.interaction = {mode: "nearest", axis: "xy", intersect: false};
    config.options.plugins.tooltip.callbacks.label = (one) => ` trial ${one.raw.trial}: ${format.metric(one.parsed.y, info)}`;
    config.options.plugins.tooltip.filter = (one, i) => i === 0;
    if (!state.log) Object.assign(config.options.scales.y, boundOf(item, range));
    return config;
  });
  const log = make("input", {type: "checkbox", onchange: (event) => { state.log = event.target.checked; element.redraw(); }});
  return figure("Curves of all trials", about, [
    choice("by", [["epoch", "epoch"], ["seconds", "time"]], "epoch", (value) => { state.x = value; element.redraw(); }),
    make("label", {class: "group"}, log, "logarithmic")], element, () => ({
    columns: [{name: "trial"}, {name: "epochs"}, {name: "first"}, {name: "last"}],
    rows: with_curves.map((trial) => {
      const values = trial.curves.columns[name].filter((v) => v !== null);
      return [String(trial.trial), trial.curves.epochs, format.metric(values[0], info), format.metric(values[values.length - 1], info)];
    })}));
}

// The best value so far, in the order in which trials ended.
function bestSoFar(item) {
  const trials = item.trials.filter((trial) => !Number.isNaN(valueOf(item, trial)));
  if (trials.length === 0) return null;
  const timed = trials.every((trial) => trial.ended_ms);
  const order = [...trials].sort((a, b) => timed ? a.ended_ms - b.ended_ms : a.trial - b.trial);
  const begin = timed ? Math.min(...order.map((trial) => trial.ended_ms - 1e3 * trial.wall_s)) : 0;
  const rows = [];
  let best = NaN, usd = 0, busy = 0;
  for (const trial of order) {
    const v = valueOf(item, trial);
    usd += trial.cost_usd || 0;
    busy += trial.wall_s || 0;
    if (Number.isNaN(best) || isBetter(item, v, best)) best = v;
    rows.push({usd, seconds: timed ? (trial.ended_ms - begin) / 1e3 : busy, best, value: v, trial: trial.trial});
  }
  const info = (item.metrics || []).find((one) => one.name === item.summary.metric);
  const range = drawnRange(item, rows.map((row) => row.value));
  const beyond = saysBeyond(item, rows.map((row) => row.value), range, rows.length === 1 ? "trial" : "of the trials");
  const chart = (title, key, format_x, more) => {
    const about = `${format.metric(best, info)} after ${format_x(rows[rows.length - 1][key])}.${more}${beyond}`;
    const element = plot(title + ": " + about, () => {
      const config = lineChart({series: [
        line("best so far", rows.map((row) => ({x: row[key], y: row.best})), theme.series(0), {stepped: "before", pointRadius: 0, borderWidth: 2.5}),
        line("trial", rows.map((row) => ({x: row[key], y: row.value})), theme.series(1), {showLine: false, pointRadius: 2.5})],
        x: key === "usd" ? "dollars" : "time", y: format.words(item.summary.metric), format_x, tick_x: key === "usd" ? format_x : xAxes.seconds.tick, format_y: (v) => format.metric(v, info), hover: "nearest"});
      if (key === "usd") config.options.scales.x.ticks.maxTicksLimit = 4;  // small amounts are long
      Object.assign(config.options.scales.y, boundOf(item, range));
      return config;
    }, true);
    return figure(title, about, null, element, () => ({columns: [{name: "trial"}, {name: key === "usd" ? "dollars" : "time"}, {name: "value"}, {name: "best so far"}],
        rows: rows.map((row) => [String(row.trial), format_x(row[key]), format.metric(row.value, info), format.metric(row.best, info)])}));
  };
  return make("div", {class: "two"}, chart("Best over time", "seconds", (v) => format.seconds(v), timed ? "" : " The times of trials are added, for it is not known when they ran."),
                                     chart("Best over cost", "usd", (v) => format.dollars(v), ""));
}

function searchSections(item) {
  const rows_of = new Map();
  const trials = item.trials.length ? trialTable(item, rows_of) : null;
  return [
    section("overview", "Overview", searchTiles(item), notices(item), item.trials.length ? null : make("p", {class: "about"}, "No trial has begun yet.")),
    section("result", "Result", parallelFigure(item, rows_of), bestSoFar(item)),
    section("trials", "Trials", trials, make("div", {style: "height: 1rem"}), trialCurves(item)),
    modelSection(item),
    section("repeat", "Options and how to repeat it", commandCard("To search again", item.repeat,
        make("p", {class: "about"}, "The best trial's job is best.yaml in the search's folder.")), make("div", {style: "height: 1rem"}),
        commandCard("JOB.yaml: the changed options of all trials, and the space", item.job_file),
        make("div", {style: "height: 1rem"}), optionsCard("Settings of the search", item.settings), make("div", {style: "height: 1rem"}), optionsCard("Options of all trials", item.options))];
}

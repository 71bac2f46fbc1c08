"use strict";
// The parts of a page about one run.

function runLead(item) {
  const s = item.summary || {}, status = item.status || {};
  const value = (name) => s[name] ?? status[name] ?? ((item.options || []).find((o) => o.name === name) || {}).value;
  if (!value("model")) return "";
  const parts = [`${value("model")} by ${value("optim")} over ${value("sync_mode")}`, `${value("workers")} workers`];
  if (s.rows) parts.push(`${format.number(s.rows)} rows of ${format.number(s.features)} features`);
  if (s.epochs) parts.push(`${format.number(s.epochs)} epochs` + (s.ended_by && s.ended_by !== "epochs" ? `, ended by ${s.ended_by}` : ""));
  return parts.join(" · ");
}

// What a run's time consists of, as the summary of `train` says it: a sentence, or nothing.
function timeParts(s) {
  if (s.wall_s === undefined) return "";
  const parts = [["start-up", s.startup_s], ["load", s.load_s], ["compute and checkpoints", s.compute_s], ["communication", s.comm_s]].filter(([, v]) => typeof v === "number");
  const rest = parts.reduce((left, [, v]) => left - v, s.wall_s);
  return ` Of the ${format.seconds(s.wall_s)} in all: ` + parts.map(([name, v]) => `${name} ${format.seconds(v)}`).join(", ") +
      (rest > 0 ? `; ${format.seconds(rest)} before and after the workers.` : ".");
}

function runTiles(item) {
  const s = item.summary || {}, status = item.status || {};
  const list = [];
  const infos = (item.metrics || []).filter((info) => typeof s[info.name] === "number");
  for (const rows of ["test", "valid", "train"]) {
    for (const info of infos.filter((one) => one.rows === rows).slice(0, 2))
      list.push(tile(format.words(info.name), format.metric(s[info.name], info)));
    if (list.length >= 4) break;
  }
  if (s.wall_s !== undefined) list.push(tile("time", format.seconds(s.wall_s), s.compute_s === undefined ? "" : `${format.seconds(s.compute_s)} computing and saving`));
  else if (status.elapsed_s !== undefined) list.push(tile("time", format.seconds(status.elapsed_s), item.state === "interrupted" ? "until its last sign of life" : item.state === "running" ? "so far" : ""));
  if (s.cost_usd !== undefined) list.push(tile("cost", format.dollars(s.cost_usd), `prices of ${s.cost ? s.cost.prices_of : "?"}`));
  else if (item.cost_so_far_usd !== undefined) list.push(tile("cost so far", format.dollars(item.cost_so_far_usd), "an estimate"));
  if (s.rounds !== undefined) list.push(tile("rounds", format.number(s.rounds), s.requests ? `${format.number(Object.values(s.requests).reduce((a, b) => a + b, 0))} requests` : ""));
  if (s.bytes_sent !== undefined) list.push(tile("sent", format.bytes(s.bytes_sent), `${format.bytes(s.bytes_received)} received`));
  if (status.round !== undefined) list.push(tile("position", `epoch ${status.epoch}`, `round ${status.round} of ${status.rounds}; ${status.finished} of ${status.workers} workers have finished`));
  return list.length ? tiles(list) : null;
}

function timeSection(item) {
  const parts = [];
  if (item.timeline) parts.push(sharesFigure(item.timeline, item.summary || {}), timelineFigure(item));
  else if (item.summary && item.summary.wall_s !== undefined) parts.push(meansFigure(item.summary));
  if (item.rounds) parts.push(make("div", {class: "two"}, roundsFigure(item.rounds, (item.summary || {}).rounds ?? item.rounds.rounds), histogramFigure(item.rounds)));
  return section("time", "Time", parts);
}

function legendOf(entries) {
  return make("ul", {class: "legend"}, entries.map(([name, text]) =>
      make("li", {}, make("i", {style: `background: var(--${name})`}), text)));
}

function bar(sums) {
  const total = Object.values(sums).reduce((a, b) => a + b, 0) || 1;
  return make("div", {class: "parts", "aria-hidden": "true"}, Object.entries(sums).filter(([, s]) => s > 0).map(([name, s]) =>
      make("span", {style: `flex: ${s / total} 0 0; background: var(--${name})`, title: `${name} ${format.percent(s / total)}`})));
}

function sharesFigure(timeline, summary) {
  const sums = totalsOf(timeline);
  const total = Object.values(sums).reduce((a, b) => a + b, 0) || 1;
  const n = timeline.workers.length;
  const sorted = Object.entries(sums).sort((a, b) => b[1] - a[1]);
  const about = `Means over ${n} ${n === 1 ? "worker" : "workers"}. The largest part is ${sorted[0][0]}, ${format.percent(sorted[0][1] / total)}.` + timeParts(summary);
  return figure("Where the time went", about, null,
      make("div", {}, bar(sums), legendOf(phases.map((phase) => [phase.name, `${phase.text} ${format.seconds(sums[phase.name] / n)} (${(100 * sums[phase.name] / total).toFixed(1)} %)`]))),
      () => ({columns: [{name: "part", text: true}, {name: "what", text: true}, {name: "mean over workers"}, {name: "share"}],
              rows: phases.map((phase) => [phase.text, phase.about, format.seconds(sums[phase.name] / n), format.percent(sums[phase.name] / total)])}));
}

// Of a run of an old version, whose workers kept no records.
function meansFigure(s) {
  const sums = {startup: s.startup_s || 0, load: s.load_s || 0, compute: s.compute_s || 0, wait: s.comm_s || 0};
  const texts = {startup: "start-up", load: "load", compute: "compute and checkpoints", wait: "communication"};
  return figure("Where the time went", "Means over the workers; this run has no record of its rounds." + timeParts(s), null,
      make("div", {}, bar(sums), legendOf(Object.entries(sums).map(([name, v]) => [name, `${texts[name]} ${format.seconds(v)}`]))),
      () => ({columns: [{name: "part", text: true}, {name: "mean over workers"}], rows: Object.entries(sums).map(([name, v]) => [texts[name], format.seconds(v)])}));
}

function timelineFigure(item) {
  const timeline = new Timeline(item.timeline);
  const failures = item.timeline.failures;
  const again = item.timeline.workers.filter((worker) => worker.invocations.length > 1).length;
  const shifted = item.timeline.workers.filter((worker) => worker.shift_us !== 0);
  const words = [`${item.timeline.workers.length} workers, ${format.seconds(item.timeline.end_us / 1e6)} from the first event to the end.`];
  if (failures.length) words.push(`${failures.length} failed ${failures.length === 1 ? "attempt" : "attempts"} (✕).`);
  if (again) words.push(`${again} workers went on in further invocations.`);
  if (item.timeline.together > 1) words.push(`The rounds are thinned: each piece stands for ${item.timeline.together}.`);
  if (shifted.length) words.push(`The clocks of ${shifted.length} workers were corrected, by ${format.seconds(Math.max(...shifted.map((w) => Math.abs(w.shift_us))) / 1e6)} at most.`);
  timeline.canvas.setAttribute("aria-label", "Timeline. " + words.join(" ") + " Arrow keys move and choose a worker, plus and minus zoom, 0 shows all.");
  const button = (text, label, action) => make("button", {type: "button", "aria-label": label, onclick: action}, text);
  const controls = [make("span", {class: "group"}, button("−", "zoom out", () => timeline.zoom(2)), button("+", "zoom in", () => timeline.zoom(.5)),
      button("←", "earlier", () => timeline.pan(-.3)), button("→", "later", () => timeline.pan(.3)), button("all", "show all", () => timeline.reset())),
      make("span", {class: "about"}, "drag to move, double-click to zoom; keys: ← → + − 0, ↑ ↓ choose a worker")];
  const result = figure("Timeline of the workers", words.join(" "), controls,
      make("div", {}, timeline.element, legendOf(phases.map((phase) => [phase.name, phase.text]))), () => ({
    columns: [{name: "worker"}, {name: "invocations"}, {name: "start-up"}, {name: "load"}, {name: "compute and checkpoints"}, {name: "communication"}, {name: "sent"}, {name: "received"}],
    rows: item.workers.map((w) => [String(w.worker), w.invocations, format.seconds(w.startup_s), format.seconds(w.load_s), format.seconds(w.compute_s),
                                   format.seconds(w.comm_s), format.bytes(w.bytes_sent), format.bytes(w.bytes_received)])}));
  if (failures.length)
    result.append(make("details", {}, make("summary", {}, "Failed attempts"), ...table(
        [{name: "worker"}, {name: "at"}, {name: "repeated"}, {name: "error", text: true}],
        failures.map((f) => [String(f.worker), format.seconds(f.at_us / 1e6), f.again ? "yes" : "no", own(f.error)]))));
  return result;
}

function roundsFigure(rounds, count) {
  const slowest = Math.max(...rounds.slowest_s);
  const at = rounds.slowest_s.indexOf(slowest);
  const thinned = rounds.together > 1 ? ` Each point stands for ${rounds.together} rounds.` : "";
  const about = `${format.number(count)} rounds; the slowest, ${format.seconds(slowest)}, is round ${rounds.round[at]} of worker ${rounds.slowest_worker[at]}.${thinned}`;
  const element = plot("Time by round. " + about, () => lineChart({
    series: [line("slowest worker", points(rounds.round, rounds.slowest_s), theme.series(1), {pointRadius: 0, borderWidth: 1.5}),
             line("median", points(rounds.round, rounds.median_s), theme.series(0), {pointRadius: 0}),
             line("computing (mean)", points(rounds.round, rounds.compute_s), theme.colour("compute"), {pointRadius: 0, borderDash: [3, 3], borderWidth: 1.5})],
    x: "round", y: "time", format_x: (v) => Number.isInteger(v) ? format.number(v) : "", format_y: (v) => format.seconds(v), log_y: true}), true);
  return figure("Time by round", about, null, element, () => ({
    columns: [{name: "round"}, {name: "median"}, {name: "slowest"}, {name: "of worker"}, {name: "compute"}, {name: "send"}, {name: "wait"}, {name: "receive"}],
    rows: rounds.round.map((r, i) => [r, format.seconds(rounds.median_s[i]), format.seconds(rounds.slowest_s[i]), String(rounds.slowest_worker[i]),
        format.seconds(rounds.compute_s[i]), format.seconds(rounds.send_s[i]), format.seconds(rounds.wait_s[i]), format.seconds(rounds.receive_s[i])])}));
}

function histogramFigure(rounds) {
  const {edges_s, counts} = rounds.histogram;
  const total = counts.reduce((a, b) => a + b, 0);
  const quantile = (q) => {
    let seen = 0;
    for (let i = 0; i < counts.length; ++i) { seen += counts[i]; if (seen >= q * total) return edges_s[i + 1]; }
    return edges_s[edges_s.length - 1];
  };
  const about = `Over all workers: half of the rounds take at most ${format.seconds(quantile(.5))}, 99 % at most ${format.seconds(quantile(.99))}.`;
  const names = counts.map((_, i) => format.seconds(edges_s[i]));
  const element = plot("How long rounds take. " + about, () => {
    const config = barChart({labels: names, values: counts, colours: theme.colour("series-0"), y: "rounds", format_y: (v) => format.number(v)});
    Object.assign(config.data.datasets[0], {categoryPercentage: 1, barPercentage: .92, borderRadius: 1});
    config.options.scales.x.ticks.maxTicksLimit = 7;
    config.options.plugins.tooltip.callbacks.title = (items) => `${format.seconds(edges_s[items[0].dataIndex])} to ${format.seconds(edges_s[items[0].dataIndex + 1])}`;
    return config;
  }, true);
  return figure("How long rounds take", about, null, element, () => ({
    columns: [{name: "from"}, {name: "to"}, {name: "rounds"}],
    rows: counts.map((n, i) => [format.seconds(edges_s[i]), format.seconds(edges_s[i + 1]), n]).filter((row) => row[2] > 0)}));
}

function storageSection(item) {
  const s = item.summary || {};
  const rows = [];
  if (item.usage)
    for (const use of item.usage)
      for (const kind of ["put", "get", "list", "delete"])
        if (use.kinds[kind].requests > 0) rows.push([use.store, use.by, kind, use.kinds[kind].requests, use.kinds[kind].bytes]);
  if (rows.length === 0 && s.requests)
    for (const [kind, n] of Object.entries(s.requests)) if (n > 0) rows.push(["all", "all", kind, n, null]);
  if (rows.length === 0) return null;
  const kinds = ["put", "get", "list", "delete"];
  const sum = (kind, column) => rows.filter((row) => row[2] === kind).reduce((a, row) => a + (row[column] || 0), 0);
  const present = kinds.filter((kind) => sum(kind, 3) > 0);
  const requests = plot("Requests by kind: " + present.map((k) => `${k} ${format.number(sum(k, 3))}`).join(", "), () => barChart({
    labels: present, values: present.map((k) => sum(k, 3)), colours: present.map((_, i) => theme.series(i)), y: "requests", format_y: (v) => format.number(v)}), true);
  const as_table = () => ({columns: [{name: "store", text: true}, {name: "by", text: true}, {name: "kind", text: true}, {name: "requests"}, {name: "bytes"}],
                           rows: rows.map((row) => [row[0], row[1], row[2], row[3], row[4] === null ? "–" : format.bytes(row[4])])});
  const figures = [figure("Requests", `${format.number(rows.reduce((a, row) => a + row[3], 0))} requests to the stores, unsuccessful polls included.`, null, requests, as_table)];
  const with_bytes = ["put", "get"].filter((kind) => sum(kind, 4) > 0);
  if (with_bytes.length) {
    const texts = {put: "written", get: "read"};
    const bytes = plot("Bytes: " + with_bytes.map((k) => `${texts[k]} ${format.bytes(sum(k, 4))}`).join(", "), () => barChart({
      labels: with_bytes.map((k) => texts[k]), values: with_bytes.map((k) => sum(k, 4)), colours: with_bytes.map((_, i) => theme.series(i)), y: "bytes", format_y: (v) => format.bytes(v)}), true);
    figures.push(figure("Bytes", `Data, messages and checkpoints: ${with_bytes.map((k) => `${format.bytes(sum(k, 4))} ${texts[k]}`).join(", ")}.`, null, bytes, as_table));
  }
  return section("storage", "Requests and bytes", make("div", {class: "two"}, figures));
}

function costSection(item) {
  const s = item.summary || {};
  if (!s.cost) return null;
  const parts = [["functions", s.cost.functions_usd]];
  const by_store = {};
  for (const use of item.usage || []) if (use.usd > 0) by_store[use.store] = (by_store[use.store] || 0) + use.usd;
  if (Object.keys(by_store).length) for (const [store, usd] of Object.entries(by_store)) parts.push([`requests to ${store}`, usd]);
  else parts.push(["requests", s.cost.requests_usd]);
  if (s.cost.servers_usd !== undefined) parts.push(["servers by the hour", s.cost.servers_usd]);
  const total = parts.reduce((sum, [, usd]) => sum + (usd || 0), 0) || 1;
  const about = `${format.dollars(s.cost_usd)} by the list prices of ${s.cost.region} of ${s.cost.prices_of}${(s.cost.price_table || "built-in") === "built-in" ? "" : ` (${s.cost.price_table})`}. On this machine nobody bills the functions: it is what they would cost.`;
  return section("cost", "Cost", figure("By part", about, null, make("div", {},
      make("div", {class: "parts", "aria-hidden": "true"}, parts.filter(([, usd]) => usd > 0).map(([name, usd], i) =>
          make("span", {style: `flex: ${usd / total} 0 0; background: var(--series-${i})`, title: name}))),
      make("ul", {class: "legend"}, parts.map(([name, usd], i) => make("li", {}, make("i", {style: `background: var(--series-${i})`}),
          `${name} ${format.dollars(usd)} (${(100 * (usd || 0) / total).toFixed(1)} %)`)))),
      () => ({columns: [{name: "part", text: true}, {name: "dollars"}], rows: parts.map(([name, usd]) => [name, format.dollars(usd)])})));
}

function repeatSection(item) {
  const s = item.summary || {};
  const facts = [["run", own(item.place)], ["job", item.job_id || "unknown"], ["ran with", item.version ? "lambdaml " + item.version : item.summary ? "unknown: an old version" : item.state === "running" ? "known when it has ended" : "unknown: it has no summary"]];
  if (item.status && item.status.begun_ms) facts.push(["begun", minuteOf(item.status.begun_ms)]);
  const data = (name) => ((item.options || []).find((o) => o.name === name) || {}).value;
  if (data("data")) facts.push(["data", own(data("data"))]);
  if (data("test_data")) facts.push(["test data", own(data("test_data"))]);
  if (s.rows) facts.push(["rows and features", `${format.number(s.rows)} × ${format.number(s.features)}`]);
  if (s.channel) facts.push(["channel", own(s.channel)]);
  if (s.model_path) facts.push(["model", own(s.model_path)]);
  const cards = [make("div", {class: "card"}, make("h3", {}, "What ran"), make("table", {}, make("tbody", {}, facts.map(([name, value]) =>
      make("tr", {}, make("th", {scope: "row"}, name), make("td", {class: "text value"}, value))))))];
  cards.push(commandCard("To repeat it", item.repeat, make("p", {class: "about"}, "In the folder where it was called. ",
      "With bulk-synchronous patterns the model is the same to the last bit.")));
  return section("repeat", "Options, data and how to repeat it", make("div", {class: "two"}, cards.filter(Boolean)),
                 make("div", {style: "height: 1rem"}), optionsCard("Options", item.options));
}

function runSections(item) {
  const curves = learningCurves([item]);
  const empty = !curves && !item.timeline && !(item.summary && item.summary.wall_s !== undefined);
  return [
    section("overview", "Overview", runTiles(item), notices(item),
            empty ? make("p", {class: "about"}, "There are no numbers yet: a report shows them as soon as the first epoch has ended.") : null,
            item.status && item.status.error ? make("p", {class: "notice"}, own(item.status.error)) : null),
    section("learning", "Learning", curves),
    timeSection(item), storageSection(item), costSection(item), modelSection(item), repeatSection(item)];
}

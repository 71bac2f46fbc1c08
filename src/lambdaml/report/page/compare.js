"use strict";
// Several runs side by side.

function differs(values) { return new Set(values.map((v) => v === undefined ? "" : String(v))).size > 1; }

function comparisonTable(title, columns, rows) {
  return make("div", {class: "card"}, make("h3", {}, title),
      make("div", {class: "scroll whole", tabindex: "0", role: "region", "aria-label": title}, make("table", {},
          make("thead", {}, make("tr", {}, make("th", {scope: "col"}, ""), columns.map((name) => make("th", {scope: "col"}, own(name))))),
          make("tbody", {}, rows.map(({name, values, shown, best}) => {
            const marked = differs(values);
            return make("tr", {}, make("th", {scope: "row"}, name), values.map((v, i) =>
                make("td", {class: marked ? "differs" : null, style: best === i ? "font-weight: 700" : null},
                     shown ? shown(v) : v === undefined || v === null || v === "" ? "–" : own(v), best === i ? " ★" : "")));
          })))));
}

function compareSections(items) {
  const runs = items.filter((item) => item.kind === "run");
  if (runs.length < 2) return [];
  const searches = items.length - runs.length;
  const names = runs.map(nameOf);
  const results = [];
  const infos = new Map(runs.flatMap((run) => (run.metrics || []).map((info) => [info.name, info])));
  const add = (name, of, shown, lower_is_better = null) => {
    const values = runs.map(of);
    if (values.every((v) => v === undefined || v === null)) return;
    let best = -1;
    const is_among_several = values.filter((v) => typeof v === "number").length > 1;
    if (lower_is_better !== null && differs(values) && is_among_several)
      values.forEach((v, i) => { if (typeof v === "number" && (best < 0 || (lower_is_better ? v < values[best] : v > values[best]))) best = i; });
    results.push({name, values, best, shown: (v) => v === undefined || v === null ? "–" : shown(v)});
  };
  const summary = (name) => (run) => (run.summary || {})[name];
  add("state", (run) => run.state, (v) => v);
  for (const [name, info] of infos) add(format.words(name), summary(name), (v) => format.metric(v, info), !info.higher_is_better);
  for (const name of ["epochs", "rounds", "rows", "features", "workers"]) add(name, summary(name), (v) => format.number(v));
  add("ended by", summary("ended_by"), (v) => v);
  for (const name of ["wall_s", "startup_s", "load_s", "compute_s", "comm_s"])
    add({wall_s: "time", startup_s: "start-up", load_s: "load", compute_s: "compute and checkpoints", comm_s: "communication"}[name], summary(name), (v) => format.seconds(v), true);
  add("requests", (run) => run.summary && run.summary.requests ? Object.values(run.summary.requests).reduce((a, b) => a + b, 0) : undefined, (v) => format.number(v), true);
  add("sent", summary("bytes_sent"), (v) => format.bytes(v), true);
  add("received", summary("bytes_received"), (v) => format.bytes(v), true);
  add("cost", summary("cost_usd"), (v) => format.dollars(v), true);
  add("version", (run) => run.version || "unknown", (v) => v);

  const option = (run, name) => ((run.options || []).find((o) => o.name === name) || {}).value;
  const all = [...new Set(runs.flatMap((run) => (run.options || []).filter((o) => o.changed).map((o) => o.name)))];
  const rows = all.map((name) => ({name: make("code", {}, name), values: runs.map((run) => option(run, name))}));
  const different = rows.filter((row) => differs(row.values));
  const same = rows.filter((row) => !differs(row.values));
  const curves = learningCurves(runs.filter((run) => run.curves && run.curves.epoch.length));
  return [
    section("results", "Results", make("p", {class: "about"}, "What differs is marked; ★ is the best." + (searches ? " Searches are shown by themselves." : "")), comparisonTable("Results", names, results)),
    section("curves", "Learning", curves),
    section("options", "Options", rows.length ? comparisonTable(different.length ? "Options that differ" : "No options differ", names, different) : null,
            same.length ? make("details", {}, make("summary", {}, `${same.length} options that are the same`), comparisonTable("The same in all", names, same)) : null)];
}

"use strict";
// The table of jobs and searches. Each row's elements are made once and changed where its numbers changed.

const jobs = {
  rows: new Map(),      // id -> what the server says
  elements: new Map(),  // id -> {row, cells}
  history: new Map(),   // id -> the last losses, for the small curves
  filter: "",
  most: 300,

  columns: ["state", "name", "what", "progress", "metric", "time", "time left", "cost", "begun"],

  order(a, b) {
    const rank = (row) => row.state === "running" ? 0 : 1;
    return rank(a) - rank(b) || (a.name < b.name ? 1 : a.name > b.name ? -1 : 0);
  },

  // The name of the metric to show: the search's own, or a loss, of held-out rows if there are any.
  metricOf(row) {
    const metrics = row.metrics || {};
    if (row.metric && metrics[row.metric] !== undefined) return row.metric;
    const wanted = ["valid_loss", "test_loss", "train_loss", "inertia"];
    return wanted.find((name) => typeof metrics[name] === "number") || Object.keys(metrics).find((name) => typeof metrics[name] === "number");
  },

  remember(id, value) {
    if (!Number.isFinite(value)) return;
    if (!jobs.history.has(id)) jobs.history.set(id, []);
    const list = jobs.history.get(id);
    list.push(value);
    if (list.length > 40) list.shift();
  },

  spark(id) {
    const values = jobs.history.get(id) || [];
    if (values.length < 3) return null;
    const low = Math.min(...values), span = Math.max(...values) - low || 1;
    const points = values.map((v, i) => `${(60 * i / (values.length - 1)).toFixed(1)},${(15 - 14 * (v - low) / span).toFixed(1)}`).join(" ");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of Object.entries({width: 60, height: 16, "aria-hidden": "true"})) svg.setAttribute(name, value);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    for (const [name, value] of Object.entries({points, fill: "none", stroke: "currentColor", "stroke-width": 1.5})) line.setAttribute(name, value);
    svg.append(line);
    return svg;
  },

  progress(row) {
    if (row.kind === "search") {
      const states = ["done", "stopped", "failed", "running"].filter((state) => row["trials_" + state]).map((state) => `${row["trials_" + state]} ${state}`);
      return [`${format.number(row.trials ?? 0)} trials` + (states.length ? `: ${states.join(", ")}` : "") +
              (row.state !== "done" && row.search_epochs ? `; ${format.number(row.search_epochs)} epochs` : "")];
    }
    const done = row.metrics_epoch || 0, all = row.epochs || 0;
    if (!all) return ["–"];
    const part = row.state === "running" && row.rounds && row.epoch > done ? Math.min(1, row.round / row.rounds) : 0;
    const bar = row.state === "running" ? make("progress", {max: all, value: done + part, "aria-label": `epoch ${done} of ${all}`}) : null;
    return [bar, ` ${format.number(done)} of ${format.number(all)}`].filter(Boolean);
  },

  // Without the place, which is the row's.
  errorOf(row) {
    const error = row.error.replace(/^(run|search) /, "");
    return (error.startsWith(row.place + ": ") ? error.slice(row.place.length + 2) : row.error).slice(0, 160);
  },

  cells(row) {
    const metric = jobs.metricOf(row);
    const cost = row.cost_usd ?? row.cost_so_far_usd;
    const time = row.wall_s ?? row.search_wall_s ?? row.elapsed_s;
    const state = row.resuming ? "resuming" : row.stopping && row.state === "running" ? "stopping" : row.state;
    return [
      [pill(state)],
      [make("a", {href: "#" + row.id}, own(row.name)), row.error ? make("div", {class: "about"}, own(jobs.errorOf(row))) : null],
      [row.kind === "search" ? `search, ${row.strategy || ""}` : [row.model, row.optim].filter(Boolean).join(" by ") || "–"],
      jobs.progress(row),
      metric ? [`${format.words(metric)} ${format.number(row.metrics[metric])}`, jobs.spark(row.id)] : ["–"],
      [time ? format.seconds(time) : "–"],
      [(row.state === "running" || row.state === "not ended") && row.left_s !== undefined ? format.seconds(row.left_s) : "–"],
      [cost === undefined ? "–" : format.dollars(cost) + (row.cost_usd === undefined ? " so far" : "")],
      [row.begun_ms ? jobs.when(row.begun_ms) : "–"],
    ];
  },

  // The time of what began today, else the date; pointed at, both.
  when(ms) {
    const [date, time] = minuteOf(ms).split(" ");
    return make("span", {title: minuteOf(ms)}, minuteOf(Date.now()).startsWith(date) ? time : date);
  },

  update(row) {
    jobs.rows.set(row.id, row);
    let element = jobs.elements.get(row.id);
    if (!element) {
      const cells = jobs.columns.map((name, i) => make(i === 1 ? "th" : "td", {class: i > 2 ? null : "text", scope: i === 1 ? "row" : null}));
      element = {row: make("tr", {}, cells), cells};
      jobs.elements.set(row.id, element);
    }
    jobs.cells(row).forEach((parts, i) => element.cells[i].replaceChildren(...parts.filter((part) => part !== null)));
  },

  remove(id) {
    for (const map of [jobs.rows, jobs.elements, jobs.history]) map.delete(id);
  },

  build() {
    const head = make("thead", {}, make("tr", {}, jobs.columns.map((name, i) => make("th", {scope: "col", class: i > 2 ? null : "text"}, name))));
    jobs.body = make("tbody", {});
    jobs.about = make("p", {class: "about"});
    const filter = make("input", {type: "search", placeholder: "name, model or state", "aria-label": "show only jobs that match", oninput: (event) => {
      jobs.filter = event.target.value.trim().toLowerCase();
      jobs.arrange();
    }});
    return make("section", {id: "jobs", "aria-labelledby": "jobs-title"}, make("h2", {id: "jobs-title"}, "Jobs and searches"),
                make("div", {class: "controls"}, make("label", {class: "group"}, "filter", filter)),
                make("div", {class: "scroll card jobs", tabindex: "0", role: "region", "aria-label": "jobs and searches", style: "padding: 0"}, make("table", {}, head, jobs.body)),
                jobs.about);
  },

  arrange(chosen = null) {
    if (chosen !== null) jobs.chosen = chosen;
    const matches = [...jobs.rows.values()].filter((row) => !jobs.filter ||
        [row.name, row.model, row.optim, row.state, row.kind, row.job_id].some((text) => String(text || "").toLowerCase().includes(jobs.filter))).sort(jobs.order);
    const wanted = matches.slice(0, jobs.most).map((row) => jobs.elements.get(row.id).row);
    // Elements stay where they are unless the order changed, so that the focus and the reader's place stay too.
    if (wanted.length !== jobs.body.children.length || wanted.some((row, i) => jobs.body.children[i] !== row)) jobs.body.replaceChildren(...wanted);
    for (const [id, element] of jobs.elements) element.row.setAttribute("aria-current", String(id === jobs.chosen));
    const counts = {};
    for (const row of matches) counts[row.state] = (counts[row.state] || 0) + 1;
    const words = Object.entries(counts).map(([state, n]) => `${n} ${state}`).join(", ");
    jobs.about.textContent = matches.length === 0 ? (jobs.rows.size ? "No job matches the filter." : "") :
        words + (matches.length > jobs.most ? `; the first ${jobs.most} are shown: filter to see others.` : ".");
  },
};

"use strict";
// What is shown of the job or search that was chosen: the parts of its report, which grow, its actions and its log.

const detail = {
  id: null, item: null, place: null, asked: 0, error: "",
  is_old: false,  // there was a gap: the item is read again with the next news of it

  async choose(id) {
    if (id === detail.id) return;
    detail.id = id;
    detail.item = null;
    detail.is_old = false;
    clearTimeout(detail.timer);
    logs.forget();
    detail.clear();
    if (id) await detail.read();
  },

  clear() {
    theme.forgetAll();
    detail.place.replaceChildren();
  },

  // Reads the whole item: at first, and when it has changed by more than new epochs.
  async read() {
    const id = detail.id, number = ++detail.asked;
    try {
      const answer = await ask("/api/item", {id});
      if (id !== detail.id || number !== detail.asked) return;
      detail.item = answer.items[0];
      detail.error = "";
    } catch (error) {
      if (id !== detail.id || number !== detail.asked) return;
      if (detail.item) return;  // the old one is better than none
      detail.error = error.message;
      detail.place.replaceChildren(make("section", {class: "detail"}, make("p", {class: "notice", role: "alert"}, own(error.message))));
      detail.timer = setTimeout(() => detail.read(), 3000);
      return;
    }
    detail.show();
  },

  row() { return jobs.rows.get(detail.id) || {}; },

  // Tiles of numbers that change while a job runs.
  tiles() {
    const row = detail.row(), item = detail.item;
    const list = (item.metrics || []).filter((info) => typeof (row.metrics || {})[info.name] === "number")
        .map((info) => tile(format.words(info.name), format.metric(row.metrics[info.name], info)));
    if (row.epochs) list.push(tile("epochs", `${format.number(row.metrics_epoch || 0)} of ${format.number(row.epochs)}`,
        row.rounds && row.epoch > (row.metrics_epoch || 0) ? `round ${row.round} of ${row.rounds} in epoch ${row.epoch}` : ""));
    if (row.started !== undefined) list.push(tile("workers", `${row.started - row.finished} running`, `${row.started} of ${row.workers} have begun, ${row.finished} have finished`));
    if (row.elapsed_s !== undefined) list.push(tile("time", format.seconds(row.elapsed_s), row.left_s !== undefined ? `${format.seconds(row.left_s)} left, if all epochs are needed` : ""));
    if (row.cost_so_far_usd !== undefined) list.push(tile("cost so far", format.dollars(row.cost_so_far_usd),
        row.cost_usd_at_end !== undefined ? `${format.dollars(row.cost_usd_at_end)} at the end, an estimate` : "an estimate"));
    return list.length ? tiles(list) : null;
  },

  actions() {
    const row = detail.row();
    const said = make("span", {role: "status"});
    const buttons = (row.actions || []).map((action) => make("button", {type: "button", onclick: async (event) => {
      const button = event.currentTarget;
      button.disabled = true;
      try {
        said.textContent = (await ask("/api/" + action, {id: detail.id}, "POST")).state + " …";
      } catch (error) {
        said.textContent = error.message;
        button.disabled = false;
      }
    }}, action));
    return make("div", {class: "actions"}, buttons, make("a", {href: "/report?id=" + detail.id, target: "_blank", rel: "noopener"}, "its report"), said);
  },

  show() {
    const item = detail.item, row = detail.row();
    theme.forgetAll();
    if (item.kind === "run") item.status = {...item.status, ...row};
    const running = row.state === "running" && item.kind === "run";
    detail.shown_state = row.state;
    detail.top = make("div", {});
    const parts = page.sectionsOf(item).filter(Boolean).filter((part) => !running || part.id !== "overview");
    const notes = running ? notices(item) : null;
    detail.place.replaceChildren(make("section", {class: "detail", "aria-label": "the chosen job"},
        make("h2", {}, own(nameOf(item)), pill(row.state || item.state || "unknown")),
        make("p", {class: "lead"}, page.leadOf(item)), make("p", {class: "about"}, own(item.place)), detail.top, notes, ...parts,
        item.kind === "run" ? logs.section() : null));
    detail.refreshTop();
    if (item.kind === "run") logs.read();
  },

  refreshTop() {
    const row = detail.row();
    const running = row.state === "running" && detail.item.kind === "run";
    // A button that has the focus must not vanish under the user's hand.
    const focused = detail.top.contains(document.activeElement);
    const shown = JSON.stringify(row.actions || []);
    if (!focused || shown !== detail.shown_actions) detail.buttons = detail.actions();
    detail.shown_actions = shown;
    detail.top.replaceChildren(...[detail.buttons, row.error ? make("p", {class: "notice"}, own(row.error)) : null,
                                   running ? detail.tiles() : null].filter(Boolean));
  },

  // A row of the chosen one has changed.
  rowChanged() {
    if (!detail.item) return;
    const row = detail.row();
    if (detail.is_old) {
      detail.is_old = false;
      return detail.read();
    }
    if (row.state !== detail.shown_state) return detail.read();
    if (detail.item.kind === "search") {
      // Its trials are many: they are read again at most every five seconds.
      if (detail.timer_of_search) return;
      detail.timer_of_search = setTimeout(() => { detail.timer_of_search = null; if (detail.id) detail.read(); }, 5000);
      return;
    }
    detail.refreshTop();
  },

  // Lines of metrics.jsonl that are new.
  addEpochs(lines) {
    const item = detail.item;
    if (!item || !item.curves) return;
    const curves = item.curves, before = curves.epoch.length;
    for (const line of lines) {
      const last = curves.epoch.length ? curves.epoch[curves.epoch.length - 1] : 0;
      if (line.epoch <= last) continue;
      if (curves.every === 1 && line.epoch > last + 1) return detail.read();
      detail.addEpoch(curves, line);
    }
    if (curves.epoch.length === before) return;
    // What is long is thinned by the server.
    if (before === 0 || curves.epoch.length > 1500) return detail.read();
    const figure_of = detail.place.querySelector("#learning figure");
    if (!figure_of) return detail.show();
    if (!document.hidden) figure_of.refresh();
  },

  addEpoch(curves, line) {
    const n = curves.epoch.length;
    const number = (value) => typeof value === "number" ? value : null;
    for (const name of Object.keys(line))
      if (name !== "epoch" && !curves.columns[name]) curves.columns[name] = new Array(n).fill(null);
    for (const [name, column] of Object.entries(curves.columns)) column.push(number(line[name]));
    const spent = (number(line.compute_s) || 0) + (number(line.comm_s) || 0);
    curves.epoch.push(line.epoch);
    curves.seconds.push((n ? curves.seconds[n - 1] : 0) + spent);
    curves.usd.push((n ? curves.usd[n - 1] : 0) + spent * (detail.row().usd_per_second || 0));
  },
};

// The log of a job's workers.
const logs = {
  worker: "", search: "",

  section() {
    const row = detail.row();
    const workers = Array.from({length: Math.min(row.workers || 0, 1000)}, (_, i) => make("option", {value: i, selected: String(i) === logs.worker}, "worker " + i));
    logs.lines = make("pre", {class: "log whole", tabindex: "0", "aria-label": "lines of the log"});
    logs.about = make("p", {class: "about", role: "status"});
    return section("log", "Log", make("div", {class: "controls"},
        make("label", {class: "group"}, "of", make("select", {"aria-label": "worker", onchange: (event) => { logs.worker = event.target.value; logs.read(); }},
                                                   make("option", {value: ""}, "all workers"), workers)),
        make("label", {class: "group"}, "with", make("input", {type: "search", value: logs.search, placeholder: "text to search for", "aria-label": "search the log", oninput: (event) => {
          logs.search = event.target.value;
          clearTimeout(logs.typing);
          logs.typing = setTimeout(() => logs.read(), 250);
        }}))), logs.lines, logs.about);
  },

  marked(text) {
    if (!logs.search) return [text];
    const parts = [], lower = text.toLowerCase(), wanted = logs.search.toLowerCase();
    let at = 0;
    for (let found = lower.indexOf(wanted); found >= 0; found = lower.indexOf(wanted, at)) {
      parts.push(text.slice(at, found), make("mark", {}, text.slice(found, found + wanted.length)));
      at = found + wanted.length;
    }
    parts.push(text.slice(at));
    return parts;
  },

  // The next job may have fewer workers, or be a search, which has no log.
  forget() {
    clearTimeout(logs.timer);
    clearTimeout(logs.typing);
    logs.worker = "";
  },

  async read() {
    clearTimeout(logs.timer);
    if (!detail.item || detail.item.kind !== "run") return;
    const id = detail.id, number = logs.asked = (logs.asked || 0) + 1;
    const wanted = {id};
    if (logs.worker !== "") wanted.worker = logs.worker;
    if (logs.search) wanted.search = logs.search;
    try {
      const answer = await ask("/api/log", wanted);
      if (id !== detail.id || number !== logs.asked) return;
      const at_end = logs.lines.scrollTop + logs.lines.clientHeight >= logs.lines.scrollHeight - 20;
      const several = logs.worker === "" && answer.workers > 1;
      logs.lines.replaceChildren(...answer.lines.flatMap(([worker, text]) =>
          [several ? make("span", {class: "worker"}, `worker ${worker}  `) : "", ...logs.marked(text), "\n"]));
      if (at_end) logs.lines.scrollTop = logs.lines.scrollHeight;
      logs.about.textContent = answer.note ? answer.note : answer.matches > answer.lines.length ? `The newest ${answer.lines.length} of ${answer.matches} lines.` :
          answer.matches === 0 ? (logs.search ? "No line contains this." : "Nothing was logged.") : `${answer.matches} ${answer.matches === 1 ? "line" : "lines"}.`;
    } catch (error) {
      if (id !== detail.id || number !== logs.asked) return;
      logs.about.textContent = error.message;
    }
    if (detail.row().state === "running") logs.timer = setTimeout(() => { if (document.hidden) logs.timer = setTimeout(() => logs.read(), 5000); else logs.read(); }, 5000);
  },
};

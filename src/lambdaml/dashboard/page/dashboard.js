"use strict";
// Puts the page together and gives it what the server tells.

const dashboard = {
  start() {
    dashboard.state = make("span", {class: "pill connecting", role: "status"}, "connecting");
    dashboard.notes = make("div", {});
    page.head.replaceChildren(make("div", {class: "top"}, make("div", {}, make("h1", {}, "LambdaML dashboard", dashboard.state)), page.themeButton()), dashboard.notes);
    dashboard.empty = make("p", {class: "about"}, "Reading …");
    detail.place = make("div", {});
    page.main.replaceChildren(jobs.build(), dashboard.empty, detail.place);
    page.foot.replaceChildren(make("p", {}, "Costs of running jobs are estimates: the functions by their time, at list prices."));
    window.addEventListener("hashchange", dashboard.choose);
    document.addEventListener("visibilitychange", () => { if (!document.hidden && detail.item && detail.item.kind === "run") detail.read(); });
    events.listen(dashboard.take);
  },

  take(kind, data) {
    if (kind === "state") return dashboard.setState(data);
    if (kind === "end") return dashboard.setState("ended");
    dashboard.setState("live");
    if (kind === "all") {
      for (const id of [...jobs.rows.keys()]) if (!data.rows.some((row) => row.id === id)) jobs.remove(id);
      // After a gap the curves may lack epochs. A server that was just started may not have read it yet.
      detail.is_old = true;
      clearTimeout(dashboard.patience);
      dashboard.patience = setTimeout(() => { dashboard.waited = true; dashboard.tellIfEmpty(); }, 4000);
    }
    for (const id of data.removed || []) {
      jobs.remove(id);
      if (id === detail.id) detail.choose(null);
    }
    for (const [id, lines] of Object.entries(data.epochs || {})) {
      const row = jobs.rows.get(id);
      if (row) for (const line of lines) {
        row.metrics = Object.fromEntries(Object.entries(line).filter(([name]) => !["epoch", "compute_s", "comm_s", "rounds"].includes(name)));
        row.metrics_epoch = line.epoch;
        jobs.remember(id, row.metrics[jobs.metricOf(row)]);
      }
      if (row) jobs.update(row);
      if (id === detail.id) { detail.addEpochs(lines); if (detail.item && row && row.state === detail.shown_state) detail.refreshTop(); }
    }
    for (const row of data.rows || []) {
      const old = jobs.rows.get(row.id);
      // Lines of epochs may be newer than the row.
      if (old && old.state === row.state && (old.metrics_epoch || 0) > (row.metrics_epoch || 0)) Object.assign(row, {metrics: old.metrics, metrics_epoch: old.metrics_epoch});
      jobs.update(row);
      if (row.id === detail.id) detail.rowChanged();
    }
    if (data.notes) dashboard.showNotes(data.notes);
    jobs.arrange();
    dashboard.tellIfEmpty();
    if (detail.id === null && location.hash) dashboard.choose();
  },

  setState(state) {
    const texts = {live: "live", connecting: "connecting", ended: "the server has ended"};
    dashboard.state.className = "pill " + state;
    if (dashboard.state.textContent !== texts[state]) dashboard.state.textContent = texts[state];
  },

  showNotes(notes) {
    dashboard.notes.replaceChildren(...(notes.length ? [make("div", {class: "notice", role: "note"}, make("ul", {}, notes.map((text) => make("li", {}, own(text)))))] : []));
  },

  tellIfEmpty() {
    dashboard.empty.textContent = jobs.rows.size ? "" : dashboard.waited ? "There are no jobs yet. They appear here when they begin." : "Reading …";
  },

  choose() {
    const id = location.hash.slice(1);
    const known = jobs.rows.has(id);
    if (/^[0-9a-f]{16}$/.test(id) && !known && !dashboard.waited) return;  // not read yet
    jobs.arrange(known ? id : "");
    detail.choose(known ? id : null);
    document.title = (known ? jobs.rows.get(id).name + " · " : "") + "LambdaML dashboard";
  },
};

dashboard.start();

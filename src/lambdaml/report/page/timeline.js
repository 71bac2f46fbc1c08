"use strict";
// When each worker did what. One row per worker; in each column of pixels the heights of the colours
// are the shares of that moment's time, so that what is too short to see is neither lost nor enlarged.

const phases = [
  {name: "startup", text: "start-up", about: "until the function has its event"},
  {name: "load", text: "load", about: "its part of the data"},
  {name: "compute", text: "compute", about: "gradients, evaluation, sums"},
  {name: "send", text: "send", about: "saving messages"},
  {name: "wait", text: "wait", about: "for other workers"},
  {name: "receive", text: "receive", about: "loading messages"},
  {name: "checkpoint", text: "checkpoint", about: "saving its state"},
];

// The pieces of a worker's row: flat lists of begin, end (µs) and phase, in order.
function piecesOf(worker) {
  const begin = [], end = [], phase = [], entry = [];
  const add = (from, to, which, of) => {
    if (to > from) { begin.push(from); end.push(to); phase.push(which); entry.push(of); }
  };
  let former_end = 0;
  for (const [began, load, trained, ended] of worker.invocations) {
    add(former_end, began, 0, -1);
    add(Math.max(began, trained - load), trained, 1, -1);
    former_end = Math.max(former_end, ended);
  }
  // In the order of time: a checkpoint is saved before the round begins.
  const order = ["checkpoint", "compute", "send", "wait", "receive"].map((name) =>
      [phases.findIndex((phase) => phase.name === name), worker[name + "_us"]]);
  for (let i = 0; i < worker.begin_us.length; ++i) {
    let at = worker.begin_us[i];
    for (const [p, lengths] of order) {
      const length = lengths[i];
      add(at, at + length, p, i);
      at += length;
    }
  }
  const indices = begin.map((_, i) => i).sort((a, b) => begin[a] - begin[b]);
  const pick = (list, type) => type.from(indices, (i) => list[i]);
  return {begin: pick(begin, Float64Array), end: pick(end, Float64Array), phase: pick(phase, Uint8Array),
          entry: pick(entry, Int32Array)};
}

// The first piece that ends after `at`.
function pieceAt(pieces, at) {
  let low = 0, high = pieces.begin.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (pieces.end[middle] <= at) low = middle + 1; else high = middle;
  }
  return low;
}

function rgb(colour) {
  const probe = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  return (255 << 24) | (b << 16) | (g << 8) | r;
}

class Timeline {
  constructor(timeline) {
    this.all = timeline;
    this.rows = timeline.workers.map((worker) => ({worker, pieces: null}));
    this.from = 0;
    this.to = Math.max(1, timeline.end_us);
    this.chosen = 0;
    const n = this.rows.length;
    this.row_height = n <= 12 ? 26 : n <= 40 ? 16 : Math.max(3, Math.floor(640 / n));
    this.left = 62;
    this.bottom = 30;
    this.canvas = make("canvas", {tabindex: "0", role: "img", style: "cursor: crosshair; touch-action: pan-y"});
    this.tip = make("div", {class: "tip", hidden: true});
    this.told = make("div", {class: "unseen", "aria-live": "polite"});
    this.element = make("div", {class: "plot"}, this.canvas, this.tip, this.told);
    this.element.style.height = n * this.row_height + this.bottom + 8 + "px";
    this.listen();
    theme.whenVisible(this.element, () => {
      for (const row of this.rows) row.pieces = row.pieces || piecesOf(row.worker);
      this.colours = phases.map((phase) => rgb(theme.colour(phase.name)));
      this.size();
      return () => {};
    });
    new ResizeObserver(() => { if (this.colours) this.size(); }).observe(this.element);
  }

  size() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = this.element.clientWidth, height = this.element.clientHeight;
    if (width === 0) return;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.canvas.style.width = width + "px";
    this.canvas.style.height = height + "px";
    this.ratio = ratio;
    this.width = width;
    this.draw();
  }

  draw() {
    if (!this.width) return;  // it has not been seen yet
    const context = this.canvas.getContext("2d");
    const {ratio, left} = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const columns = Math.max(1, Math.floor((this.width - left - 6) * ratio));
    const gap = this.row_height >= 10 ? 2 : this.row_height >= 5 ? 1 : 0;
    const height = Math.max(1, Math.round((this.row_height - gap) * ratio));
    const image = context.createImageData(columns, Math.round(this.rows.length * this.row_height * ratio) + height);
    const pixels = new Uint32Array(image.data.buffer);
    this.rows.forEach((row, i) => {
      const own = pixels.subarray(Math.round(i * this.row_height * ratio) * columns);
      // Rows of a few pixels are rounded differently, so that the shares are right over several rows.
      this.paint(row.pieces, own, columns, height, height < 8 ? i * .618 % 1 : .5);
    });
    context.putImageData(image, Math.round(left * ratio), 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawAxes(context);
    this.drawFailures(context);
  }

  // Where rounds are shorter than a few pixels, columns are drawn in blocks of as many: single ones
  // would show which part of a round each happens to hit.
  paint(pieces, pixels, columns, height, rounding) {
    const scale = columns / (this.to - this.from);
    const shares = new Float32Array(phases.length);
    let i = pieceAt(pieces, this.from);
    const density = (pieceAt(pieces, this.to) - i) / columns;
    const block = density < .4 ? 1 : Math.round(Math.min(16, Math.max(3, 20 / density)));
    for (let x = 0; x < columns; x += block) {
      const wide = Math.min(block, columns - x);
      const begin = this.from + x / scale, end = this.from + (x + wide) / scale;
      shares.fill(0);
      while (i < pieces.begin.length && pieces.begin[i] < end) {
        shares[pieces.phase[i]] += Math.min(end, pieces.end[i]) - Math.max(begin, pieces.begin[i]);
        if (pieces.end[i] > end) break;
        ++i;
      }
      let at = height, filled = 0;
      for (let p = phases.length - 1; p >= 0; --p) {
        if (shares[p] <= 0) continue;
        filled += shares[p] * scale / wide * height;
        const until = Math.max(0, height - Math.floor(filled + rounding));
        for (let y = at - 1; y >= until; --y) pixels.fill(this.colours[p], y * columns + x, y * columns + x + wide);
        at = until;
      }
    }
  }

  drawAxes(context) {
    const bottom = this.rows.length * this.row_height;
    context.font = "12px " + Chart.defaults.font.family;
    context.fillStyle = theme.colour("soft");
    context.textBaseline = "middle";
    context.textAlign = "right";
    const every = Math.ceil(14 / this.row_height);
    this.rows.forEach((row, i) => {
      if (i % every === 0)
        context.fillText((this.rows.length <= 12 ? "worker " : "") + row.worker.worker, this.left - 8, (i + .5) * this.row_height);
    });
    if (this.element.ownerDocument.activeElement === this.canvas) {
      context.strokeStyle = theme.colour("accent");
      context.strokeRect(this.left - .5, this.chosen * this.row_height - .5, this.width - this.left - 6, this.row_height);
    }
    context.textBaseline = "top";
    context.textAlign = "center";
    const span = this.to - this.from;
    const raw = span / Math.max(2, (this.width - this.left) / 110);
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((k) => k * power >= raw) * power;
    for (let t = Math.ceil(this.from / step) * step; t <= this.to; t += step) {
      const x = this.left + (t - this.from) / span * (this.width - this.left - 6);
      context.fillRect(x, bottom + 1, 1, 5);
      context.fillText(format.tick(Math.round(t) / 1e6), Math.min(x, this.width - 24), bottom + 9);
    }
  }

  drawFailures(context) {
    context.font = "bold 13px " + Chart.defaults.font.family;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const failure of this.all.failures) {
      const i = this.rows.findIndex((row) => row.worker.worker === failure.worker);
      if (i < 0 || failure.at_us < this.from || failure.at_us > this.to) continue;
      const x = this.left + (failure.at_us - this.from) / (this.to - this.from) * (this.width - this.left - 6);
      const y = (i + .5) * this.row_height;
      context.fillStyle = theme.colour("card");
      context.beginPath();
      context.arc(x, y, 8, 0, 7);
      context.fill();
      context.fillStyle = theme.colour("bad");
      context.fillText("✕", x, y);
    }
  }

  timeAt(x) { return this.from + (x - this.left) / (this.width - this.left - 6) * (this.to - this.from); }

  // What a worker did at a moment, in words.
  words(i, at) {
    const {worker, pieces} = this.rows[i];
    const k = pieceAt(pieces, at);
    const failure = this.all.failures.find((one) => one.worker === worker.worker &&
        Math.abs(one.at_us - at) < (this.to - this.from) / 100);
    let text = `worker ${worker.worker} at ${format.seconds(at / 1e6)}`;
    if (failure) text += `\nan attempt failed: ${failure.error.slice(0, 120)}`;
    if (k >= pieces.begin.length || pieces.begin[k] > at) return text;
    const phase = phases[pieces.phase[k]];
    text += `\n${phase.text}, ${format.seconds((pieces.end[k] - pieces.begin[k]) / 1e6)}`;
    const e = pieces.entry[k];
    if (e < 0) return text;
    const n = worker.rounds[e];
    if (n === 0) return text + "\nafter the last round";
    text += n === 1 ? `\nround ${worker.first_round[e] + 1}: ` : `\nrounds ${worker.first_round[e] + 1} to ${worker.first_round[e] + n}: `;
    return text + "\n" + ["compute", "send", "wait", "receive", "checkpoint"].filter((name) => worker[name + "_us"][e] > 0)
        .map((name) => `  ${name} ${format.seconds(worker[name + "_us"][e] / 1e6)}`).join("\n");
  }

  zoom(factor, about = (this.from + this.to) / 2) {
    const least = 20, whole = Math.max(1, this.all.end_us);
    const span = Math.min(whole, Math.max(least, (this.to - this.from) * factor));
    const share = (about - this.from) / (this.to - this.from);
    this.from = Math.min(Math.max(0, about - share * span), whole - span);
    this.to = this.from + span;
    this.draw();
  }

  pan(share) {
    const span = this.to - this.from, whole = Math.max(1, this.all.end_us);
    this.from = Math.min(Math.max(0, this.from + share * span), whole - span);
    this.to = this.from + span;
    this.draw();
  }

  reset() { this.from = 0; this.to = Math.max(1, this.all.end_us); this.draw(); }

  tell() {
    const lines = this.words(this.chosen, (this.from + this.to) / 2);
    this.told.textContent = `From ${format.seconds(this.from / 1e6)} to ${format.seconds(this.to / 1e6)}. In the middle: ${lines}`;
  }

  listen() {
    let drag = null;
    this.canvas.addEventListener("pointerdown", (event) => { drag = {x: event.offsetX, moved: false}; });
    this.canvas.addEventListener("pointermove", (event) => {
      if (drag && event.buttons === 1) {
        const share = (drag.x - event.offsetX) / (this.width - this.left);
        drag.x = event.offsetX;
        this.pan(share);
      }
      const i = Math.floor(event.offsetY / this.row_height);
      if (i < 0 || i >= this.rows.length || event.offsetX < this.left) { this.tip.hidden = true; return; }
      this.tip.textContent = this.words(i, this.timeAt(event.offsetX));
      this.tip.hidden = false;
      const right = event.offsetX > this.width / 2;
      this.tip.style.left = right ? "" : event.offsetX + 14 + "px";
      this.tip.style.right = right ? this.width - event.offsetX + 14 + "px" : "";
      this.tip.style.top = Math.max(0, event.offsetY - 20) + "px";
    });
    this.canvas.addEventListener("pointerup", () => { drag = null; });
    this.canvas.addEventListener("pointerleave", () => { drag = null; this.tip.hidden = true; });
    this.canvas.addEventListener("dblclick", (event) => this.zoom(.25, this.timeAt(event.offsetX)));
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : .8, this.timeAt(event.offsetX));
    }, {passive: false});
    this.canvas.addEventListener("focus", () => this.draw());
    this.canvas.addEventListener("blur", () => this.draw());
    this.canvas.addEventListener("keydown", (event) => {
      const last = this.rows.length - 1;
      const actions = {
        ArrowLeft: () => this.pan(-.1), ArrowRight: () => this.pan(.1),
        ArrowUp: () => { this.chosen = Math.max(0, this.chosen - 1); this.draw(); },
        ArrowDown: () => { this.chosen = Math.min(last, this.chosen + 1); this.draw(); },
        "+": () => this.zoom(.5), "=": () => this.zoom(.5), "-": () => this.zoom(2), "0": () => this.reset(),
      };
      if (!actions[event.key] || event.metaKey || event.ctrlKey) return;
      event.preventDefault();
      actions[event.key]();
      this.tell();
    });
  }
}

// The totals of a phase over all workers, in seconds.
function totalsOf(timeline) {
  const sums = Object.fromEntries(phases.map((phase) => [phase.name, 0]));
  for (const worker of timeline.workers) {
    let former_end = 0;
    for (const [began, load, , ended] of worker.invocations) {
      sums.startup += Math.max(0, began - former_end) / 1e6;
      sums.load += load / 1e6;
      former_end = ended;
    }
    for (const name of ["compute", "send", "wait", "receive", "checkpoint"])
      for (const us of worker[name + "_us"]) sums[name] += us / 1e6;
  }
  return sums;
}

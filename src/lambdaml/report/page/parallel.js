"use strict";
// Parallel coordinates: an axis per searched option and one for the metric; each trial is a line.

class Parallel {
  // axes: [{name, values: one per trial, log}]; the last is the metric. colours: share 0…1 per trial.
  constructor(axes, shares, choose) {
    this.axes = axes.map((axis) => Parallel.scaled(axis));
    this.shares = shares;
    this.choose = choose;
    this.chosen = -1;
    this.limits = axes.map(() => null);
    this.canvas = make("canvas", {role: "img", style: "touch-action: none"});
    this.tip = make("div", {class: "tip", hidden: true});
    this.element = make("div", {class: "plot"}, this.canvas, this.tip);
    this.element.style.height = "380px";
    this.listen();
    theme.whenVisible(this.element, () => { this.ready = true; this.size(); return () => {}; });
    new ResizeObserver(() => { if (this.ready) this.size(); }).observe(this.element);
  }

  static scaled(axis) {
    const numbers = axis.values.filter((v) => typeof v === "number" && Number.isFinite(v));
    const is_text = axis.values.some((v) => typeof v === "string" || typeof v === "boolean");
    if (is_text) {
      const words = [...new Set(axis.values.filter((v) => v !== null && v !== undefined).map(String))].sort();
      const at = (v) => v === null || v === undefined ? NaN : words.length === 1 ? .5 : words.indexOf(String(v)) / (words.length - 1);
      return {...axis, at, ticks: words.slice(0, 12).map((word) => [at(word), word])};
    }
    const low = Math.min(...numbers), high = Math.max(...numbers);
    const log = axis.log && low > 0;
    const to = (v) => log ? Math.log(v) : v;
    const at = (v) => typeof v !== "number" || !Number.isFinite(v) ? NaN : high === low ? .5 : (to(v) - to(low)) / (to(high) - to(low));
    const back = (share) => log ? low * (high / low) ** share : low + (high - low) * share;
    const shares = high === low ? [.5] : [0, .25, .5, .75, 1];
    const beyond = axis.beyond || [];
    const sign = (share) => share === 0 && beyond[0] ? "≤ " : share === 1 && beyond[1] ? "≥ " : "";
    return {...axis, at, ticks: numbers.length ? shares.map((share) => [share, sign(share) + format.number(back(share), 3)]) : []};
  }

  size() {
    const width = this.element.clientWidth, height = this.element.clientHeight;
    if (width === 0) return;
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    Object.assign(this.canvas, {width: width * this.ratio, height: height * this.ratio});
    Object.assign(this.canvas.style, {width: width + "px", height: height + "px"});
    this.width = width;
    this.height = height;
    this.draw();
  }

  x(i) { return 70 + (this.axes.length === 1 ? 0 : i * (this.width - 150) / (this.axes.length - 1)); }
  y(share) { return this.height - 22 - share * (this.height - 70); }

  shown(trial) {
    return this.limits.every((limit, i) => {
      if (!limit) return true;
      const at = this.axes[i].at(this.axes[i].values[trial]);
      return at >= limit[0] && at <= limit[1];
    });
  }

  path(context, trial) {
    context.beginPath();
    let begun = false;
    this.axes.forEach((axis, i) => {
      const at = axis.at(axis.values[trial]);
      if (Number.isNaN(at)) return;
      if (begun) context.lineTo(this.x(i), this.y(at)); else context.moveTo(this.x(i), this.y(at));
      begun = true;
    });
    context.stroke();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const n = this.shares.length;
    const mix = (share) => `color-mix(in srgb, ${theme.colour("series-1")} ${Math.round(100 * share)}%, ${theme.colour("series-0")})`;
    const palette = Array.from({length: 21}, (_, i) => mix(i / 20));
    for (let trial = 0; trial < n; ++trial) {
      const is_shown = this.shown(trial);
      context.globalAlpha = !is_shown ? .05 : n > 200 ? .35 : n > 40 ? .55 : .85;
      context.lineWidth = 1.3;
      context.strokeStyle = Number.isNaN(this.shares[trial]) ? theme.colour("startup") : palette[Math.round(20 * this.shares[trial])];
      this.path(context, trial);
    }
    context.globalAlpha = 1;
    if (this.chosen >= 0) {
      context.lineWidth = 3.5;
      context.strokeStyle = theme.colour("text");
      this.path(context, this.chosen);
    }
    this.drawAxes(context);
  }

  drawAxes(context) {
    context.font = "600 12px " + Chart.defaults.font.family;
    // Names that would touch stand in two rows.
    const widths = this.axes.map((axis) => context.measureText(axis.name).width);
    const are_close = widths.some((width, i) => i > 0 && (width + widths[i - 1]) / 2 + 6 > this.x(i) - this.x(i - 1));
    this.axes.forEach((axis, i) => {
      const x = this.x(i);
      context.strokeStyle = theme.colour("soft");
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(x, this.y(0));
      context.lineTo(x, this.y(1));
      context.stroke();
      if (this.limits[i]) {
        context.fillStyle = theme.colour("accent");
        context.globalAlpha = .3;
        context.fillRect(x - 8, this.y(this.limits[i][1]), 16, this.y(this.limits[i][0]) - this.y(this.limits[i][1]));
        context.globalAlpha = 1;
      }
      context.textAlign = "center";
      context.textBaseline = "bottom";
      context.fillStyle = theme.colour("text");
      context.font = "600 12px " + Chart.defaults.font.family;
      context.fillText(axis.name, x, this.y(1) - (are_close && i % 2 ? 27 : 12));
      context.font = "11px " + Chart.defaults.font.family;
      context.textBaseline = "middle";
      context.textAlign = i === this.axes.length - 1 ? "left" : "right";
      const is_last = i === this.axes.length - 1;
      for (const [share, text] of axis.ticks) {
        const at = x + (is_last ? 8 : -8), y = this.y(share);
        // Lines pass below the labels.
        const width = context.measureText(text).width;
        context.fillStyle = theme.colour("card");
        context.fillRect(is_last ? at - 3 : at - width - 3, y - 8, width + 6, 16);
        context.fillStyle = theme.colour("soft");
        context.fillText(text, at, y);
      }
    });
  }

  // The trial whose line is nearest, within 12 pixels; else -1.
  nearest(px, py) {
    let best = -1, least = 12;
    const i = Math.max(0, Math.min(this.axes.length - 2, Math.floor((px - 70) / Math.max(1, this.x(1) - this.x(0)))));
    const share = (px - this.x(i)) / Math.max(1, this.x(i + 1) - this.x(i));
    for (let trial = 0; trial < this.shares.length; ++trial) {
      if (!this.shown(trial)) continue;
      const a = this.axes[i].at(this.axes[i].values[trial]), b = this.axes[i + 1].at(this.axes[i + 1].values[trial]);
      const far = Math.abs(this.y(a + share * (b - a)) - py);
      if (far < least) { least = far; best = trial; }
    }
    return best;
  }

  highlight(trial) {
    if (trial === this.chosen) return;
    this.chosen = trial;
    if (this.ready) this.draw();
  }

  limit(i, limit) { this.limits[i] = limit; this.draw(); }

  listen() {
    let drag = null;
    const axisAt = (px) => this.axes.findIndex((_, i) => Math.abs(this.x(i) - px) < 12);
    const shareAt = (py) => Math.max(0, Math.min(1, (this.height - 22 - py) / (this.height - 70)));
    this.canvas.addEventListener("pointerdown", (event) => {
      const i = axisAt(event.offsetX);
      if (i < 0) return;
      drag = {i, from: shareAt(event.offsetY)};
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (drag) {
        const to = shareAt(event.offsetY);
        this.limit(drag.i, [Math.min(drag.from, to), Math.max(drag.from, to)]);
        return;
      }
      this.canvas.style.cursor = axisAt(event.offsetX) >= 0 ? "ns-resize" : "crosshair";
      const trial = this.axes.length > 1 ? this.nearest(event.offsetX, event.offsetY) : -1;
      this.highlight(trial);
      this.choose(trial);
      this.tip.hidden = trial < 0;
      if (trial < 0) return;
      const valueOn = (axis) => (axis.exact || axis.values)[trial];
      this.tip.textContent = `trial ${this.names ? this.names[trial] : trial}\n` + this.axes.map((axis) =>
          `${axis.name} ${typeof valueOn(axis) === "number" ? format.number(valueOn(axis)) : valueOn(axis)}`).join("\n");
      const right = event.offsetX > this.width / 2;
      this.tip.style.left = right ? "" : event.offsetX + 14 + "px";
      this.tip.style.right = right ? this.width - event.offsetX + 14 + "px" : "";
      this.tip.style.top = Math.max(0, Math.min(event.offsetY, this.height - 150)) + "px";
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (drag && Math.abs(shareAt(event.offsetY) - drag.from) < .02) this.limit(drag.i, null);
      drag = null;
    });
    this.canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; this.highlight(-1); this.choose(-1); });
  }
}

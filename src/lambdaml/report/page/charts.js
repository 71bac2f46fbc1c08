"use strict";
// Charts by Chart.js, each in a figure with a caption, a summary in words and its numbers as a table.

Chart.defaults.animation = false;
Chart.defaults.responsive = true;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
Chart.defaults.font.size = 12;

// A figure; `about` is the summary in words, `rows()` gives {columns, rows} of its numbers.
function figure(title, about, controls, plot, rows) {
  const id = "figure-" + (figure.count = (figure.count || 0) + 1);
  const parts = [make("figcaption", {id}, make("h3", {}, title), about ? make("p", {class: "about"}, about) : null)];
  if (controls && controls.length) parts.push(make("div", {class: "controls"}, controls));
  parts.push(plot);
  if (rows) {
    const details = make("details", {}, make("summary", {}, "As a table"));
    details.addEventListener("toggle", () => {
      while (details.children.length > 1) details.lastChild.remove();
      if (!details.open) return;
      const {columns, rows: cells} = rows();
      details.append(...table(columns, cells, {label: title}));
    });
    parts.push(details);
  }
  return make("figure", {"aria-labelledby": id}, parts);
}

// A canvas of a Chart.js chart; config() is called for each drawing, in the present theme.
function plot(label, config, low = false) {
  const canvas = make("canvas", {role: "img", "aria-label": label});
  const element = make("div", {class: low ? "plot low" : "plot"}, canvas);
  element.redraw = theme.whenVisible(element, () => {
    const chart = new Chart(canvas, config());
    element.chart = chart;
    return () => { element.chart = null; chart.destroy(); };
  });
  return element;
}

const axes = {
  of(title, format_tick, more = {}) {
    return {
      title: {display: true, text: title, color: theme.colour("soft")},
      grid: {color: theme.colour("grid"), borderColor: theme.colour("line")},
      ticks: {color: theme.colour("soft"), maxTicksLimit: 7, callback: format_tick || undefined, maxRotation: 0, includeBounds: false},
      ...more,
    };
  },
  logarithmic(title, format_tick) {
    return axes.of(title, (value) => Number.isInteger(Math.round(1e9 * Math.log10(value)) / 1e9) ? format_tick(value) : "",
                   {type: "logarithmic"});
  },
};

function legend(shown = true) {
  return {display: shown, position: "top", align: "start",
          labels: {color: theme.colour("text"), boxWidth: 22, boxHeight: 2, usePointStyle: false}};
}

function tooltip(callbacks) {
  return {backgroundColor: theme.colour("text"), titleColor: theme.colour("card"), bodyColor: theme.colour("card"),
          cornerRadius: 7, padding: 9, boxPadding: 4, callbacks};
}

// Pairs as Chart.js takes them unparsed; a value that is no number is a gap.
function points(x, y) {
  return x.map((at, i) => ({x: at, y: Number.isFinite(y[i]) && y[i] !== null ? y[i] : NaN}));
}

function line(label, data, colour, more = {}) {
  return {label, data, borderColor: colour, backgroundColor: colour, borderWidth: 2, tension: 0,
          pointRadius: data.length <= 40 ? 2.5 : 0, pointHoverRadius: 5, parsing: false, normalized: true, ...more};
}

// Lines over one x axis.
function lineChart({series, x, y, format_x, tick_x = format_x, format_y, log_y = false, log_x = false, shown_legend = true, hover = "index"}) {
  return {
    type: "line",
    data: {datasets: series},
    options: {
      interaction: {mode: hover, axis: "x", intersect: false},
      scales: {
        x: log_x ? axes.logarithmic(x, format_x) : axes.of(x, (v) => tick_x(v), {type: "linear"}),
        y: log_y ? axes.logarithmic(y, format_y) : axes.of(y, (v) => format_y(v)),
      },
      plugins: {
        legend: legend(shown_legend),
        tooltip: tooltip({title: (items) => items.length ? x + " " + format_x(items[0].parsed.x) : "",
                          label: (item) => " " + item.dataset.label + ": " + format_y(item.parsed.y)}),
      },
    },
  };
}

// Bars with one value each; `colours` is one, or one per bar.
function barChart({labels, values, colours, y, format_y, horizontal = false, log = false}) {
  const value_axis = log ? axes.logarithmic(y, format_y) : axes.of(y, (v) => format_y(v), {beginAtZero: true});
  const name_axis = axes.of("", undefined, {grid: {display: false}});
  name_axis.ticks = {color: theme.colour("text"), autoSkip: !horizontal, maxRotation: 0};
  name_axis.title = {display: false};
  return {
    type: "bar",
    data: {labels, datasets: [{data: values, backgroundColor: colours, borderRadius: 3, maxBarThickness: 42}]},
    options: {
      indexAxis: horizontal ? "y" : "x",
      scales: horizontal ? {x: value_axis, y: name_axis} : {x: name_axis, y: value_axis},
      plugins: {legend: {display: false},
                tooltip: tooltip({label: (item) => " " + format_y(horizontal ? item.parsed.x : item.parsed.y)})},
    },
  };
}

"use strict";
// Light and dark, and when charts are drawn: when they come into view, when the theme changes, and
// before the page is printed.

const theme = {
  drawn: [],    // {element, draw, undo}
  colour(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); },
  series(i) { return theme.colour("series-" + (i % 8)); },
  isDark() { return document.documentElement.dataset.theme === "dark"; },
  set(name) {
    document.documentElement.dataset.theme = name;
    theme.redraw();
  },
  redraw() {
    for (const one of theme.drawn) if (one.undo) theme.draw(one);
  },
  draw(one) {
    if (one.undo) one.undo();
    one.undo = one.draw();
  },
  // draw() returns what undoes it. Returns what draws again, if it was drawn.
  whenVisible(element, draw) {
    const one = {element, draw, undo: null};
    theme.drawn.push(one);
    theme.observer.observe(element);
    return () => { if (one.undo) theme.draw(one); };
  },
  drawAll() {
    for (const one of theme.drawn) if (!one.undo) theme.draw(one);
  },
  forgetAll() {
    for (const one of theme.drawn) { theme.observer.unobserve(one.element); if (one.undo) one.undo(); }
    theme.drawn = [];
  },
};
theme.observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    const one = theme.drawn.find((other) => other.element === entry.target);
    theme.observer.unobserve(entry.target);
    if (one && !one.undo) theme.draw(one);
  }
}, {rootMargin: "300px"});

(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => theme.set(dark.matches ? "dark" : "light"));
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    theme.redraw();
    theme.drawAll();
  });
  window.addEventListener("afterprint", () => { if (before) theme.set(before); });
})();

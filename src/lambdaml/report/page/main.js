"use strict";
// Puts the page together: one item by itself, or a comparison and one item at a time.

const page = {
  head: document.getElementById("head"),
  main: document.getElementById("main"),
  foot: document.getElementById("foot"),

  themeButton() {
    const button = make("button", {type: "button", id: "theme", onclick: () => { theme.set(theme.isDark() ? "light" : "dark"); tell(); }});
    const tell = () => { button.textContent = theme.isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `use ${button.textContent.toLowerCase()} colours`); };
    tell();
    return button;
  },

  sectionsOf(item) { return item.kind === "search" ? searchSections(item) : runSections(item); },
  leadOf(item) { return item.kind === "search" ? searchLead(item) : runLead(item); },

  show(document_of, chosen) {
    theme.forgetAll();
    const items = document_of.items;
    const several = items.length > 1;
    const item = several && chosen < 0 ? null : items[Math.max(0, chosen)];
    const sections = (item ? page.sectionsOf(item) : compareSections(items)).filter(Boolean);
    document.title = (item ? nameOf(item) : `${items.length} runs`) + " · LambdaML report";
    const title = item ? make("h1", {}, own(nameOf(item)), pill(item.state || "unknown")) : make("h1", {}, `${items.length} side by side`);
    page.head.replaceChildren(make("div", {class: "top"}, make("div", {}, title, make("p", {class: "lead"}, item ? page.leadOf(item) : items.map(nameOf).join(" · "))), page.themeButton()));
    if (several) page.head.append(page.tabs(document_of, chosen));
    page.head.append(make("nav", {"aria-label": "parts of the report"}, sections.map((one) =>
        make("a", {href: "#" + one.id}, one.querySelector("h2").textContent))));
    page.main.replaceChildren(...sections);
    if (sections.length === 0) page.main.append(make("p", {class: "notice"}, "There is nothing to compare: choose one above."));
    page.foot.replaceChildren(make("p", {}, `Made by ${document_of.program} on ${document_of.made}. This file needs no network.`));
  },

  tabs(document_of, chosen) {
    const comparable = document_of.items.filter((item) => item.kind === "run").length > 1;
    const names = [...(comparable ? [[-1, "comparison"]] : []), ...document_of.items.map((item, i) => [i, nameOf(item)])];
    const buttons = names.map(([i, name]) => make("button", {type: "button", role: "tab", "aria-selected": String(i === chosen), tabindex: i === chosen ? "0" : "-1",
      onclick: () => { page.show(document_of, i); page.head.querySelector('[aria-selected="true"]').focus(); }}, own(name)));
    return make("div", {role: "tablist", "aria-label": "runs", class: "controls", style: "margin: 1rem 0 0", onkeydown: (event) => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      const at = buttons.indexOf(document.activeElement);
      if (step && at >= 0) buttons[(at + step + buttons.length) % buttons.length].focus();
    }}, buttons);
  },

  start() {
    let document_of = null;
    try {
      document_of = JSON.parse(document.getElementById("document").textContent);
    } catch (error) {
      page.main.replaceChildren(make("p", {class: "notice"}, "The data of this report are damaged: " + error.message + ". Make it again with lambdaml report."));
      return;
    }
    const comparable = document_of.items.filter((item) => item.kind === "run").length > 1;
    page.show(document_of, document_of.items.length > 1 && comparable ? -1 : 0);
  },
};

// Opens pages of `lambdaml report` in Chromium and checks what only a browser can tell.
//
// node browser.mjs FOLDER PAGE.html…   FOLDER gets a screenshot of each page, light, dark and printed
//
// Fails if a page prints an error, asks the network for anything, is empty, first paints after more than 1 s, answers a
// key or a click after more than 100 ms, is wider than its window or a telephone's, has a chart that is blank,
// without a text alternative or with labels that touch, has texts of little contrast, or lacks what a part of it is used
// by. Times are the best of several; PATIENCE multiplies their limits, for a loaded machine.
import {createRequire} from "node:module";
import {mkdirSync} from "node:fs";
import {basename, resolve} from "node:path";
import {pathToFileURL} from "node:url";
import {faintTexts} from "./contrast.mjs";

const require = createRequire(new URL("../../build/npm/", import.meta.url));
const {chromium} = require("playwright-core");
const [folder, ...pages] = process.argv.slice(2);
const shots = !process.env.NO_SCREENSHOTS;
const patience = Number(process.env.PATIENCE || 1);
let failures = 0;

function check(page, what, fine, seen = "") {
  if (fine) return;
  ++failures;
  console.error(`${basename(page)}: ${what}${seen === "" ? "" : `: ${seen}`}`);
}

// Milliseconds from an action to the end of the frame that shows its result.
async function frame(tab, action) {
  let best = Infinity;
  for (let i = 0; i < 8 && best > 60; ++i) {
    await tab.waitForTimeout(50);
    best = Math.min(best, await tab.evaluate(action));
  }
  return best;
}

const until_painted = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))";
// What is done, and to which element of a page, where it has one.
const button = (part, text) => `[...document.querySelectorAll("${part} button")].find((b) => b.textContent.startsWith("${text}"))`;
const click = (element) => [element, (found) => `${found}.click()`];
const key = `(new KeyboardEvent("keydown", {key: "ArrowRight"}))`;
const actions = {
  "by time": click(button(":is(#learning, #trials, #curves)", "time")),
  "by dollars": click(button("#learning", "dollars")),
  "zoom": click(button("#time", "+")),
  "move": [`document.querySelector("#time .plot canvas[tabindex]")`, (found) => `${found}.dispatchEvent${key}`],
  "all options": click(button("#repeat", "all (")),
  "sort": click(`document.querySelector("#trials thead button")`),
  "all lines": click(button("#result", "all trials")),
};
// What pages of reports.py must have.
const needed = {
  "real": ["by time", "by dollars", "zoom", "move", "all options"], "made-wide": ["by time", "by dollars", "zoom", "move"],
  "search": ["by time", "sort", "all lines"], "made-search": ["by time", "sort", "all lines"], "made-long": ["by time"],
};

async function firstPaint(browser, page) {
  let best = Infinity;
  for (let i = 0; i < 6 && best > 700; ++i) {
    const tab = await browser.newPage();
    await tab.goto(pathToFileURL(resolve(page)).href);
    await tab.waitForTimeout(300);
    const paint = await tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity");
    best = Math.min(best, paint);
    await tab.close();
  }
  return best;
}

async function look(browser, page) {
  const context = await browser.newContext({viewport: {width: 1280, height: 900}, colorScheme: "light"});
  const tab = await context.newPage();
  const errors = [], requests = [];
  tab.on("console", (message) => { if (["error", "warning"].includes(message.type())) errors.push(message.text()); });
  tab.on("pageerror", (error) => errors.push(error.message));
  tab.on("dialog", (dialog) => { errors.push("a dialog: " + dialog.message()); dialog.dismiss(); });
  const own = pathToFileURL(resolve(page)).href;
  tab.on("request", (request) => { if (request.url() !== own && !/^(data|blob):/.test(request.url())) requests.push(request.url()); });
  await tab.goto(own);
  await tab.evaluate("theme.drawAll()");
  await tab.waitForTimeout(300);
  check(page, "it is empty", (await tab.textContent("main")).trim().length > 40);
  check(page, "it has no heading", (await tab.textContent("h1")).trim().length > 0);
  const silent = await tab.evaluate("[...document.querySelectorAll('canvas')].filter((c) => !(c.getAttribute('aria-label') || '').trim()).length");
  check(page, "charts without a text alternative", silent === 0, silent);
  const blank = await tab.evaluate(`[...document.querySelectorAll("canvas")].filter((c) => {
    if (c.width === 0 || c.height === 0) return true;
    const pixels = new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer);
    return pixels.every((p) => p === pixels[0]);
  }).map((c) => c.getAttribute("aria-label"))`);
  check(page, "blank charts", blank.length === 0, blank.join("; "));
  const crowded = await tab.evaluate(`Object.values(Chart.instances).flatMap((chart) => {
    const x = chart.scales.x;
    if (!x || !x.isHorizontal() || x.labelRotation) return [];
    chart.ctx.font = Chart.defaults.font.size + "px " + Chart.defaults.font.family;
    const widths = x.ticks.map((tick) => chart.ctx.measureText(tick.label ?? "").width);
    const touch = widths.some((width, i) => i && width && widths[i - 1] &&
        Math.abs(x.getPixelForTick(i) - x.getPixelForTick(i - 1)) < (width + widths[i - 1]) / 2);
    return touch ? [chart.canvas.getAttribute("aria-label")] : [];
  })`);
  check(page, "charts whose labels touch", crowded.length === 0, crowded.join("; "));
  const wide = await tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  check(page, "it is wider than the window by", wide <= 0, wide);
  const expectContrast = async (theme) => {
    const faint = await tab.evaluate(faintTexts);
    check(page, `faint texts (${theme})`, faint.length === 0, faint.join("; "));
  };
  await expectContrast("light");
  await tab.setViewportSize({width: 390, height: 800});
  await tab.waitForTimeout(400);
  const narrow = await tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  check(page, "it is wider than a telephone by", narrow <= 0, narrow);
  await tab.setViewportSize({width: 1280, height: 900});
  await tab.waitForTimeout(200);
  const name = basename(page, ".html");
  if (shots) await tab.screenshot({path: `${folder}/${name}-light.png`, fullPage: true});
  const times = {};
  for (const [what, [element, act]] of Object.entries(actions)) {
    if (!await tab.evaluate(`!!(${element})`)) continue;
    const action = act(element);
    times[what] = await frame(tab, `(async () => { const begin = performance.now(); ${action}; await ${until_painted}; return performance.now() - begin; })()`);
    check(page, `${what}: milliseconds until it shows`, times[what] <= 100 * patience, times[what].toFixed(0));
  }
  const missing = (needed[name] ?? []).filter((what) => !(what in times));
  check(page, "nothing to try", missing.length === 0, missing.join(", "));
  await tab.keyboard.press("Tab");
  check(page, "the first key leads to no element", await tab.evaluate("document.activeElement !== document.body"));
  await tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })");
  await tab.waitForTimeout(100);
  await tab.evaluate("document.getElementById('theme').click()");
  await tab.waitForTimeout(200);
  await expectContrast("dark");
  await tab.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = false; })");
  await tab.waitForTimeout(200);
  if (shots) await tab.screenshot({path: `${folder}/${name}-dark.png`, fullPage: true});
  if (shots) await tab.pdf({path: `${folder}/${name}.pdf`, format: "A4"});
  check(page, "errors", errors.length === 0, errors.join("; "));
  check(page, "requests", requests.length === 0, requests.join(" "));
  await context.close();
  const paint = await firstPaint(browser, page);
  check(page, "milliseconds until the first paint", paint <= 1000 * patience, paint.toFixed(0));
  console.log(`${name}: first paint ${paint.toFixed(0)} ms; ` + Object.entries(times).map(([what, ms]) => `${what} ${ms.toFixed(0)} ms`).join(", "));
}

mkdirSync(folder, {recursive: true});
const browser = await chromium.launch({executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"]});
try {
  for (const page of pages) await look(browser, page);
} finally {
  await browser.close();
}
process.exit(failures > 0 ? 1 : 0);

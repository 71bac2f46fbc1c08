// Opens the pages of `lambdaml dashboard` in Chromium beside jobs that run, and checks what only a browser can tell.
//
// node dashboard.mjs LAMBDAML FOLDER MADE   FOLDER gets the jobs and FOLDER/shots the screenshots; MADE has the runs of
//                                           make_runs.py
//
// Fails if the page prints an error, asks anyone but its server, first paints after more than 1 s, answers a click after
// more than 100 ms, does not grow while its job does, does not come back after the server was started again, keeps a
// seventh or twentieth page waiting, or does not stop and resume a job and a search. Times are the best of several; PATIENCE
// multiplies their limits, for a loaded machine.
import {spawn, spawnSync} from "node:child_process";
import {createRequire} from "node:module";
import {cpSync, mkdirSync, rmSync, writeFileSync} from "node:fs";
import {resolve} from "node:path";
import {faintTexts} from "./contrast.mjs";

const require = createRequire(new URL("../../build/npm/", import.meta.url));
const {chromium} = require("playwright-core");
const [lambdaml, folder, made] = process.argv.slice(2).map((path) => resolve(path));
const patience = Number(process.env.PATIENCE || 1);
const wait_ms = 60000 * patience;
let failures = 0;

async function expectContrast(tab) {
  const faint = await tab.evaluate(faintTexts);
  check("faint texts", faint.length === 0, faint.join("; "));
}

function check(what, fine, seen = "") {
  if (fine) return;
  ++failures;
  console.error(`dashboard: ${what}${seen === "" ? "" : `: ${seen}`}`);
}

function run(...words) {
  const result = spawnSync(lambdaml, words, {cwd: folder, encoding: "utf8"});
  if (result.status !== 0) throw new Error(`lambdaml ${words.join(" ")}: ${result.stderr}`);
  return result.stdout;
}

function begin(...words) { return spawn(lambdaml, words, {cwd: folder, stdio: ["ignore", "pipe", "inherit"]}); }

const servers = new Set();
function serve(...words) {
  const server = begin("dashboard", ...words);
  servers.add(server);
  return new Promise((done, failed) => {
    let text = "";
    server.stdout.on("data", (data) => {
      text += data;
      const found = text.match(/listening on (http:\S+)/);
      if (found) done({server, url: found[1], port: new URL(found[1]).port});
    });
    server.on("exit", (code) => { servers.delete(server); failed(new Error(`the server ended with ${code}`)); });
  });
}
function end(server) { return new Promise((done) => { server.on("exit", done); server.kill("SIGTERM"); }); }

async function open(context, url, provoked = null) {
  const tab = await context.newPage();
  tab.problems = [];
  tab.provoked = provoked;  // what the browser says of what the test does to it at the moment
  tab.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !tab.provoked?.test(message.text())) tab.problems.push(`${message.text()} ${message.location().url}`);
  });
  tab.on("pageerror", (error) => tab.problems.push(error.message));
  tab.on("dialog", (dialog) => { tab.problems.push("a dialog: " + dialog.message()); dialog.dismiss(); });
  tab.on("request", (request) => { if (new URL(request.url()).origin !== new URL(url).origin && !/^(data|blob):/.test(request.url())) tab.problems.push("a request: " + request.url()); });
  await tab.goto(url);
  return tab;
}

const wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
const epochs = "detail.item ? detail.item.curves.epoch.length : 0";
const state = (tab, text) => tab.waitForFunction((wanted) => typeof dashboard !== "undefined" && dashboard.state.textContent === wanted, text, {timeout: wait_ms});

async function grows(tab, what) {
  const before = await tab.evaluate(epochs);
  await tab.waitForFunction((n) => detail.item && detail.item.curves.epoch.length > n, before, {timeout: wait_ms})
      .catch(() => check(`${what}: the curves do not grow from`, false, before));
}

async function best(tab, action) {
  let ms = Infinity;
  for (let i = 0; i < 8 && ms > 60; ++i) {
    await tab.waitForTimeout(50);
    ms = Math.min(ms, await tab.evaluate(`(async () => { const begin = performance.now(); ${action};
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0))); return performance.now() - begin; })()`));
  }
  return ms;
}

async function main(browser) {
  const jobs_folder = folder + "/runs";
  run("data", "synth", "higgs", "--rows", "20000", "-o", "train.libsvm");
  run("train", "-q", "--data", "train.libsvm", "--workers", "2", "--output", "runs/finished");
  for (const name of ["hostile", "long", "search", "wide"]) cpSync(`${made}/${name}`, `${jobs_folder}/${name}`, {recursive: true});
  const job = begin("train", "-q", "--data", "train.libsvm", "--workers", "4", "--optim", "grad_avg", "--lr", "0.01", "--epochs", "1000000",
                    "--checkpoint-every", "100", "--output", "runs/running");
  let {server, url, port} = await serve();
  const context = await browser.newContext({viewport: {width: 1280, height: 900}, colorScheme: "light"});
  const tab = await open(context, url);
  await state(tab, "live");
  await tab.getByRole("link", {name: "running"}).click({timeout: wait_ms});
  await tab.waitForSelector("#learning figure canvas", {timeout: wait_ms});
  for (let i = 0; i < 3; ++i) await grows(tab, "a running job");
  await tab.waitForSelector("#log .log", {timeout: wait_ms});
  await tab.waitForFunction(() => logs.lines.textContent.length > 0 || logs.about.textContent.length > 0, null, {timeout: wait_ms});
  check("the first job in the table is not the one that runs", (await tab.textContent(".jobs tbody tr:first-child")).includes("running"));
  check("it is wider than the window by", await tab.evaluate(wide) <= 0, await tab.evaluate(wide));
  await expectContrast(tab);
  await tab.screenshot({path: `${folder}/shots/dashboard-light.png`});

  const times = {
    filter: await best(tab, `(() => { const f = document.querySelector("#jobs input"); f.value = f.value ? "" : "run"; f.dispatchEvent(new Event("input")); })()`),
    dollars: await best(tab, `[...document.querySelectorAll("#learning button")].find((b) => b.textContent === "dollars" || b.textContent === "time").click()`),
  };
  await tab.evaluate(`(() => { const f = document.querySelector("#jobs input"); f.value = ""; f.dispatchEvent(new Event("input")); })()`);

  // 200 workers × 1,000 rounds.
  await tab.getByRole("link", {name: "wide"}).click();
  await tab.waitForFunction(() => detail.item && detail.item.place.endsWith("wide") && document.querySelector("#time .plot canvas"), null, {timeout: wait_ms});
  await tab.evaluate(`document.querySelector("#time button").click()`);  // before the chart was ever seen
  await tab.locator("#time .plot canvas").first().scrollIntoViewIfNeeded({timeout: wait_ms});
  await tab.waitForFunction(() => document.querySelector("#time .plot canvas").style.width !== "", null, {timeout: wait_ms});
  const hash_of_wide = await tab.evaluate("location.hash");
  times["200 workers: zoom"] = await best(tab, `[...document.querySelectorAll("#time button")].find((b) => b.textContent === "+").click()`);
  times["200 workers: move"] = await best(tab, `document.querySelector("#time .plot canvas[tabindex]").dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}))`);

  // 500 trials.
  await tab.getByRole("link", {name: "search", exact: true}).click();
  await tab.waitForFunction(() => detail.item && detail.item.kind === "search" && document.querySelectorAll("#trials tbody tr").length > 0, null, {timeout: wait_ms});
  await tab.evaluate("theme.drawAll()");
  const hash_of_search = await tab.evaluate("location.hash");
  times["500 trials: by time"] = await best(tab, `[...document.querySelectorAll("#trials button")].find((b) => b.textContent === "time").click()`);
  times["500 trials: sort"] = await best(tab, `document.querySelector("#trials thead button").click()`);
  await tab.screenshot({path: `${folder}/shots/dashboard-search.png`});
  await tab.getByRole("link", {name: "running"}).click();
  await tab.waitForFunction(() => detail.item && detail.item.place.endsWith("running"), null, {timeout: wait_ms});
  await tab.waitForSelector("#log input", {timeout: wait_ms});
  for (const [what, ms] of Object.entries(times)) check(`${what}: milliseconds until it shows`, ms <= 100 * patience, ms.toFixed(0));

  await tab.fill("#log input", "no line has this");
  await tab.waitForFunction(() => logs.about.textContent === "No line contains this.", null, {timeout: wait_ms});
  await tab.fill("#log input", "");

  // More pages than a browser opens connections to one server.
  const others = [];
  for (let i = 0; i < 19; ++i) others.push(await open(context, url));
  for (const other of others) await state(other, "live").catch(() => check("a page of twenty stays without events", false));
  for (const other of others) await other.waitForSelector(".jobs tbody tr", {timeout: wait_ms});
  for (const other of others) { check("problems", other.problems.length === 0, other.problems.join("; ")); await other.close(); }

  // A worker that the next job does not have, and a log that is read again while a search is looked at.
  await tab.selectOption("#log select", "3");
  await tab.getByRole("link", {name: "finished"}).click();
  await tab.waitForFunction(() => detail.item && detail.item.place.endsWith("finished") && /lines?\.$/.test(logs.about.textContent), null, {timeout: wait_ms})
      .catch(async () => check("another job's log is not shown", false, await tab.evaluate("logs.about.textContent")));
  await tab.getByRole("link", {name: "running"}).click();
  await tab.waitForFunction(() => detail.item && detail.item.place.endsWith("running"), null, {timeout: wait_ms});

  // Texts of others stay texts.
  await tab.getByRole("link", {name: "hostile"}).click();
  await tab.waitForFunction(() => detail.item && detail.item.place.endsWith("hostile"), null, {timeout: wait_ms});
  await tab.getByRole("link", {name: "search", exact: true}).click();
  await tab.waitForFunction(() => detail.item && detail.item.kind === "search" && document.querySelector("#trials"), null, {timeout: wait_ms});
  await tab.goBack();
  await tab.goBack();
  await tab.waitForFunction(() => detail.item && detail.item.place.endsWith("running"), null, {timeout: wait_ms})
      .catch(() => check("going back does not lead to the job before", false));
  await tab.waitForSelector("#learning figure canvas", {timeout: wait_ms});

  // The page outlives the server, whose absence the browser reports.
  tab.provoked = /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)/;
  await end(server);
  await tab.waitForFunction(() => dashboard.state.textContent !== "live", null, {timeout: wait_ms});
  ({server, url, port} = await serve("--port", port));
  await state(tab, "live").catch(() => check("the page does not connect again", false));
  tab.provoked = null;
  await grows(tab, "after the server was started again");

  await tab.setViewportSize({width: 390, height: 800});
  await tab.waitForFunction(`${wide} <= 0`, null, {timeout: wait_ms})
      .catch(async () => check("it is wider than a telephone by", false, await tab.evaluate(wide)));
  await tab.setViewportSize({width: 1280, height: 900});
  await tab.evaluate("document.getElementById('theme').click()");
  await tab.waitForTimeout(300);
  await expectContrast(tab);
  await tab.screenshot({path: `${folder}/shots/dashboard-dark.png`, fullPage: true});

  const of_state = (wanted) => tab.waitForFunction((name) => detail.row().state === name, wanted, {timeout: wait_ms})
      .catch(async () => check(`the job does not become ${wanted}`, false, await tab.evaluate("JSON.stringify(detail.row())")));
  await tab.getByRole("button", {name: "stop"}).click();
  await of_state("stopped");
  await tab.getByRole("button", {name: "resume"}).click({timeout: wait_ms});
  await of_state("running");
  await grows(tab, "after it was resumed");

  // Searches too.
  writeFileSync(`${folder}/search.yaml`, "data: train.libsvm\nworkers: 2\nepochs: 200\noptim: grad_avg\n" +
      "tune: {strategy: random, trials: 500, concurrency: 2, space: {lr: {log_uniform: [1e-3, 3]}}}\n");
  begin("tune", "-q", "search.yaml", "--output", "runs/searching");
  await tab.getByRole("link", {name: "searching"}).click({timeout: wait_ms});
  await of_state("running");
  await tab.getByRole("button", {name: "stop"}).click({timeout: wait_ms});
  await of_state("stopped");
  await tab.getByRole("button", {name: "resume"}).click({timeout: wait_ms});
  await of_state("running");
  await tab.getByRole("button", {name: "stop"}).click({timeout: wait_ms});
  await of_state("stopped");
  check("problems", tab.problems.length === 0, tab.problems.join("; "));
  await tab.close();
  run("stop", "runs/running");
  job.kill("SIGTERM");

  const paints = {};
  for (const [what, hash] of [["200 workers", hash_of_wide], ["500 trials", hash_of_search]]) {
    let paint = Infinity;
    for (let i = 0; i < 6 && paint > 700; ++i) {
      const fresh = await open(context, url + hash);
      await fresh.waitForTimeout(300);
      paint = Math.min(paint, await fresh.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity"));
      check("problems", fresh.problems.length === 0, fresh.problems.join("; "));
      await fresh.close();
    }
    check(`${what}: milliseconds until the first paint`, paint <= 1000 * patience, paint.toFixed(0));
    paints[what] = paint;
  }
  await end(server);

  // Whoever has the token.
  writeFileSync(`${folder}/token`, "sesame\n");
  const guarded = await serve("--token", "token");
  const guest = await open(await browser.newContext(), guarded.url, /status of 401/);
  for (const [guess, heading] of [["wrong", "This is not the server's token."], ["sesame", null]]) {
    await guest.fill("#token", guess);
    await guest.click("button");
    if (heading) check("a wrong token is not refused", (await guest.textContent("[role=alert]")) === heading);
  }
  await state(guest, "live").catch(() => check("the token does not open the page", false));
  guest.provoked = null;
  await guest.getByRole("link", {name: "finished"}).click({timeout: wait_ms});
  await guest.waitForSelector("#learning figure canvas", {timeout: wait_ms});
  check("problems", guest.problems.length === 0, guest.problems.join("; "));
  const answer = await fetch(guarded.url + "/../../../etc/passwd");
  check("what is asked without a token is answered with", answer.status === 401, answer.status);
  await end(guarded.server);
  console.log(`dashboard: first paint ${Object.entries(paints).map(([what, ms]) => `${ms.toFixed(0)} ms (${what})`).join(", ")}; ` + Object.entries(times).map(([what, ms]) => `${what} ${ms.toFixed(0)} ms`).join(", "));
}

rmSync(folder, {recursive: true, force: true});
mkdirSync(folder + "/shots", {recursive: true});
const browser = await chromium.launch({executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"]});
try {
  await main(browser);
} catch (error) {
  check("it was not checked to its end", false, error.stack);
} finally {
  await browser.close();
  for (const server of servers) server.kill("SIGKILL");
  for (const name of ["running", "searching"]) spawnSync(lambdaml, ["stop", "runs/" + name], {cwd: folder});
}
process.exit(failures > 0 ? 1 : 0);

// Makes the pictures of the documentation: a report, a search and the dashboard, as Chromium shows them.
//
// node pictures.mjs LAMBDAML WORK PICTURES   WORK gets the jobs; needs pngquant
import {spawn, spawnSync} from "node:child_process";
import {createRequire} from "node:module";
import {mkdirSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {resolve} from "node:path";
import {pathToFileURL} from "node:url";

const require = createRequire(new URL("../../build/npm/", import.meta.url));
const {chromium} = require("playwright-core");
const [lambdaml, work, pictures] = process.argv.slice(2).map((path) => resolve(path));

function run(...words) {
  const result = spawnSync(lambdaml, words, {cwd: work, encoding: "utf8"});
  if (result.status !== 0) throw new Error(`lambdaml ${words.join(" ")}: ${result.stderr}`);
}

// A picture of a page from its top to the end of an element, in fewer colours, so that it is small.
async function picture(tab, name, last) {
  await tab.evaluate("theme.drawAll()");
  await tab.waitForTimeout(500);
  const height = await tab.evaluate((what) => document.querySelector(what).getBoundingClientRect().bottom + scrollY + 6, last);
  const file = `${pictures}/${name}.png`;
  await tab.screenshot({path: file, fullPage: true, clip: {x: 0, y: 0, width: 1200, height}});
  const done = spawnSync("pngquant", ["--force", "--strip", "--ext", ".png", "96", file], {encoding: "utf8"});
  if (done.status !== 0) throw new Error(`pngquant: ${done.error ?? done.stderr}`);
  console.log(`${name}.png ${(readFileSync(file).length / 1000).toFixed(0)} kB`);
}

rmSync(work, {recursive: true, force: true});
mkdirSync(work, {recursive: true});
run("data", "synth", "higgs", "--rows", "220000", "-o", "all.libsvm");
const rows = readFileSync(work + "/all.libsvm", "utf8").split("\n");
writeFileSync(work + "/train.libsvm", rows.slice(0, 200000).join("\n") + "\n");
writeFileSync(work + "/test.libsvm", rows.slice(200000).join("\n"));
const data = ["-q", "--data", "train.libsvm", "--optim", "grad_avg"];
run("train", ...data, "--test-data", "test.libsvm", "--epochs", "20", "--workers", "10", "--output", "runs/higgs");
run("train", ...data, "--epochs", "10", "--workers", "4", "--model", "svm", "--output", "runs/higgs-svm");
writeFileSync(work + "/search.yaml", "data: train.libsvm\nworkers: 2\nepochs: 9\noptim: grad_avg\ntune:\n  strategy: asha\n  trials: 24\n" +
    "  concurrency: 2\n  space: {lr: {log_uniform: [1e-3, 3]}, momentum: {uniform: [0, 0.9]}, batch_size: {int: [200, 2000]}}\n");
run("tune", "-q", "search.yaml", "--output", "runs/search");
run("report", "runs/higgs", "-o", "report.html");
run("report", "runs/search", "-o", "search.html");

const browser = await chromium.launch({executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"]});
const job = spawn(lambdaml, ["train", ...data, "--epochs", "400", "--workers", "4", "--lr", "0.003", "--output", "runs/running"], {cwd: work, stdio: "ignore"});
const server = spawn(lambdaml, ["dashboard"], {cwd: work, stdio: ["ignore", "pipe", "inherit"]});
try {
  for (const [name, page, scheme, last] of [["report", "report", "light", "#time figure:has(.plot canvas)"], ["report-dark", "report", "dark", "#time figure:has(.plot canvas)"],
                                            ["search", "search", "light", "#result"]]) {
    const tab = await browser.newPage({viewport: {width: 1200, height: 900}, colorScheme: scheme});
    await tab.goto(pathToFileURL(`${work}/${page}.html`).href);
    await picture(tab, name, last);
    await tab.close();
  }
  const url = await new Promise((done) => server.stdout.on("data", (text) => done(String(text).match(/http:\S+/)[0])));
  const tab = await browser.newPage({viewport: {width: 1200, height: 900}, colorScheme: "light"});
  await tab.goto(url);
  await tab.getByRole("link", {name: "running"}).click({timeout: 60000});
  await tab.waitForFunction(() => detail.item && detail.item.curves.epoch.length > 20, null, {timeout: 120000});
  await picture(tab, "dashboard", "#learning figure");
} finally {
  await browser.close();
  server.kill("SIGTERM");
  job.kill("SIGINT");
}

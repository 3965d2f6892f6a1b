// Draws dashboards in headless Chromium: reads plans, writes a PNG and the facts of it for each.
// Usage: node draw.mjs REQUEST.json, with {"chromium": program, "drawings": [{"plan", "picture", "facts"}]}.
import { chromium } from "playwright-core";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const WIDTH_PX = 1600;
const DRAWN_WITHIN_MS = 60_000;
const HOST = "http://dashboards.invalid"; // never looked up: every answer below comes from files
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>dashboard</title>
<link rel="stylesheet" href="/page.css"><body style="margin:0"><div id="root"></div><script src="/page.js"></script>`;

async function answer(route, prometheusUrl) {
  const path = new URL(route.request().url()).pathname;
  // Browsers keep pages of a name from asking loopback addresses, and some Prometheus allow no other origin.
  if (path.startsWith("/api/v1/")) {
    return route.fetch({ url: prometheusUrl + path }).then(
      (response) => route.fulfill({ response }),
      (error) => route.fulfill({ json: { status: "error", error: error.message.split("\n")[0] } }),
    );
  }
  if (path === "/") return route.fulfill({ contentType: "text/html", body: PAGE });
  if (path === "/page.js" || path === "/page.css") return route.fulfill({ path: here(`build${path}`) });
  // Icons, where the packages believe Grafana's server to be.
  const icon = /^\/public\/build\/(img\/.+)$/.exec(path);
  const file = icon && here(`node_modules/@grafana/ui/dist/public/${icon[1]}`);
  return file && existsSync(file) ? route.fulfill({ path: file }) : route.fulfill({ status: 404 });
}

// High enough for all of it from the start: panels are blank for a moment after every change of size.
function heightOf({ dashboard: { panels } }) {
  const ROW_PX = 38;
  const HEADER_PX = 140;
  return HEADER_PX + ROW_PX * Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
}

async function draw(browser, { plan, picture, facts }) {
  const page = await browser.newPage({ viewport: { width: WIDTH_PX, height: heightOf(plan) } });
  const failures = [];
  page.on("pageerror", (error) => failures.push(error.message));
  await page.route(`${HOST}/**`, (route) => answer(route, plan.prometheusUrl));
  await page.addInitScript((given) => { window.plan = given; }, plan);
  await page.goto(HOST);
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error("not drawn in time")), DRAWN_WITHIN_MS).unref());
  const drawn = await Promise.race([page.evaluate(() => window.drawn), late]).catch((error) => {
    failures.push(error.message);
    return { panels: [] };
  });
  const clip = await page.locator("#root").boundingBox();
  const png = await page.screenshot({ path: picture, clip });
  const boxes = drawn.panels.map(({ box }) => box);
  const ink = await page.evaluate(([image, where]) => window.inkOf(image, where), [png.toString("base64"), boxes]);
  const panels = drawn.panels.map((panel, index) => ({ ...panel, ink: ink[index] }));
  await writeFile(facts, JSON.stringify({ ...drawn, panels, failures }, null, 1));
  await page.close();
}

const request = JSON.parse(await readFile(process.argv[2], "utf8"));
const browser = await chromium.launch({ executablePath: request.chromium, args: ["--no-sandbox"] });
try {
  for (const drawing of request.drawings) await draw(browser, drawing);
} finally {
  await browser.close();
}

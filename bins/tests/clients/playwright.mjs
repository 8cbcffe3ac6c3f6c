// Playwright's `proxy.server`: loads the page with fifty resources, and compares what came with the files.
// playwright.mjs MODULE CHROMIUM PROXY URL FOLDER prints what was seen as JSON.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [module, executablePath, server, url, folder] = process.argv.slice(2);
const { chromium } = await import(module);
const browser = await chromium.launch({ executablePath, proxy: { server }, timeout: 120_000, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
try {
  const page = await browser.newPage();
  const bodies = new Map();
  page.on("response", (response) => {
    if (response.url().startsWith("http")) bodies.set(response.url().slice(url.length) || "index.html", response.body());
  });
  await page.goto(url, { waitUntil: "load", timeout: 120_000 });
  const seen = { same: 0, differ: [], ran: await page.evaluate("window.ran") };
  for (const [name, body] of bodies) {
    if (readFileSync(join(folder, name)).equals(await body)) seen.same += 1;
    else seen.differ.push(name);
  }
  console.log(JSON.stringify(seen));
} finally {
  await browser.close();
}

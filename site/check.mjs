// The built site in a browser, at the address that it is published at: every page, every link, the search,
// light and dark, on a desktop and on a phone. No request leaves this machine.
import assert from "node:assert/strict";
import {existsSync, mkdirSync, readFileSync, statSync} from "node:fs";
import {join} from "node:path";
import {chromium} from "playwright-core";

const root = join(import.meta.dirname, "..");
const html = join(root, "target/site/html");
const shots = join(root, "target/site/shots");
const site = "https://arc-rocm.github.io/arc-rocm/";
const repository = "https://github.com/arc-rocm/arc-rocm/";
const desktop = {width: 1280, height: 900};
const phone = {width: 390, height: 844};

/** The file behind an address of the site. */
function file(address) {
  const path = join(html, decodeURIComponent(new URL(address).pathname.slice(new URL(site).pathname.length)));
  return existsSync(path) && statSync(path).isDirectory() ? join(path, "index.html") : path;
}

/** A page of a new browser context, whose errors go to `problems`. */
async function open(browser, options) {
  const context = await browser.newContext(options);
  await context.route("**", (route) => {
    const address = route.request().url();
    if (address.startsWith(site) && existsSync(file(address))) return route.fulfill({path: file(address)});
    problems.push(`${address} is asked for and not there`);
    return route.abort();
  });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && problems.push(`${page.url()}: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
  return page;
}

const problems = [];
const summary = readFileSync(join(root, "site/SUMMARY.md"), "utf8").match(/\]\(.*\.md\)/g);
const version = readFileSync(join(root, "Cargo.toml"), "utf8").match(/^version = "(.*)"/m)[1];
mkdirSync(shots, {recursive: true});
const browser = await chromium.launch({executablePath: process.env.BROWSER});

// From the first page by its "next" arrows to the last one.
const page = await open(browser, {viewport: desktop, colorScheme: "light"});
const anchors = new Map(); // file of a page: its ids
const links = []; // from, to
for (let address = site; address; ) {
  await page.goto(address);
  const at = page.url();
  assert(!anchors.has(file(at)), `${at} comes twice`);
  anchors.set(file(at), new Set(await page.locator("[id]").evaluateAll((all) => all.map((one) => one.id))));
  const targets = await page.locator("a[href], main img[src]").evaluateAll((all) => all.map((one) => one.href ?? one.src));
  links.push(...targets.map((target) => [at, target]));
  assert.match(await page.title(), new RegExp(`arc-rocm ${version.replaceAll(".", "\\.")}`), at);
  address = await page.locator("a[rel~=next]").first().getAttribute("href", {timeout: 1000}).catch(() => null);
  address &&= new URL(address, at).href;
}
assert.equal(anchors.size, summary.length, "pages by the arrows, and in SUMMARY.md");

for (const [from, to] of links) {
  const [address, anchor] = to.split("#");
  if (address.startsWith(site)) {
    if (!existsSync(file(address))) problems.push(`${from}: ${to} is not there`);
    else if (anchor && !anchors.get(file(address))?.has(decodeURIComponent(anchor))) problems.push(`${from}: ${to} has no such heading`);
  } else if (address.startsWith(`${repository}blob/main/`)) {
    if (!existsSync(join(root, address.slice(`${repository}blob/main/`.length)))) problems.push(`${from}: ${to} is not there`);
  }
}

// The search finds a word that only some pages have, and its first result leads to it.
await page.goto(site);
await page.keyboard.press("s");
await page.keyboard.type("supplementalGroups");
const found = page.locator("#mdbook-searchresults a");
await found.first().waitFor();
await page.screenshot({path: join(shots, "search.png")});
await found.first().click();
await page.waitForURL(/\/docs\//);
assert.match(await page.locator("main").innerText(), /supplementalGroups/);

// No page is wider than the screen of a phone.
for (const colorScheme of ["light", "dark"]) {
  const small = await open(browser, {viewport: phone, colorScheme});
  for (const path of anchors.keys()) {
    const address = site + path.slice(html.length + 1);
    await small.goto(address);
    const widths = await small.locator("html, .content").evaluateAll((all) => all.map((one) => one.scrollWidth));
    if (Math.max(...widths) > phone.width) problems.push(`${address}: ${widths} pixels wide on a phone`);
  }
  for (const [name, viewport] of Object.entries({desktop, phone})) {
    await small.setViewportSize(viewport);
    for (const path of ["", "deploy/", "docs/profiles.html"]) {
      await small.goto(site + path);
      await small.screenshot({path: join(shots, `${path.split("/")[1]?.split(".")[0] || path.replace("/", "") || "index"}-${name}-${colorScheme}.png`)});
    }
  }
}

await browser.close();
assert.deepEqual(problems, []);
console.log(`site: ${anchors.size} pages, ${links.length} links, search, two colours, two widths: no problem`);

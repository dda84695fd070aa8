// Every page and every journey against a running sandbox, whose addresses are in the file named by HUFU_READY.

import { readFileSync } from "node:fs";
import { launch, twoAtATime, WAYS } from "./browser.mjs";
import { journeys } from "./journeys.mjs";
import { journeysThroughTime } from "./recovery.mjs";
import { Report } from "./report.mjs";
import { outside, routes, withoutScripts } from "./routes.mjs";

if (!process.env.HUFU_READY) {
  console.error("HUFU_READY names no file: start `hufu demo --port 0 --ready-file FILE` first, or run ./test e2e");
  process.exit(2);
}
const ready = JSON.parse(readFileSync(process.env.HUFU_READY, "utf8"));
const report = new Report();
const browser = await launch();
const only = process.argv[2];
try {
  if (!only || only === "journeys") {
    await twoAtATime(WAYS, (way, position) => journeys(browser, ready, way, report, position));
  }
  if (!only || only === "routes") {
    await routes(browser, ready, report);
    await outside(browser, ready, report);
    await withoutScripts(browser, ready, report);
  }
  if (!only || only === "time") {
    // One after the other, since there is one clock; both languages and both sizes.
    for (const [position, way] of [WAYS[0], WAYS[3]].entries()) await journeysThroughTime(browser, ready, way, report, position);
  }
} finally {
  await browser.close();
}
console.log(`${report.passed} passed, ${report.failures.length} failed`);
process.exit(report.failures.length === 0 ? 0 : 1);

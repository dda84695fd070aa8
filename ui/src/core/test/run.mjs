// Runs every *.test.ts of this folder in Node: bundles them with the sources (nothing is written into the project) and
// counts. Prints "N passed, M failed".

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const ui = join(here, "../../..");
const out = mkdtempSync(join(tmpdir(), "hufu-ui-test-"));
const wanted = process.argv[2] ?? "";
const files = readdirSync(here).filter((file) => file.endsWith(".test.ts") && file.includes(wanted));
globalThis.hufuVectors = join(ui, "../crates/pairwise/vectors");

let passed = 0;
let failed = 0;
try {
  await build({
    entryPoints: files.map((file) => join(here, file)),
    outdir: out,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20",
    outExtension: { ".js": ".mjs" },
    sourcemap: "inline",
    logLevel: "warning",
  });
  for (const file of files) {
    const { default: tests } = await import(pathToFileURL(join(out, file.replace(/\.ts$/, ".mjs"))).href);
    for (const [name, test] of Object.entries(tests)) {
      try {
        await test();
        passed += 1;
      } catch (error) {
        failed += 1;
        console.error(`FAIL ${file}: ${name}\n${error?.stack ?? error}`);
      }
    }
  }
} finally {
  rmSync(out, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

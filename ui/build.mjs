// Builds ui/dist; `--check` fails if dist/ is not what the sources make. Deterministic: pinned esbuild, no paths, no times.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

/** What is built from what; a part whose source does not exist yet is left out. `budget`: bytes after gzip. */
const PARTS = [
  { from: "src/core/index.ts", to: "core.js", budget: 60 * 1024 },
  { from: "src/elements/index.ts", to: "elements.js", budget: 40 * 1024 },
  { from: "style/index.css", to: "style.css", budget: 20 * 1024 },
];

/** Elements import the core from its sources; pages load it once, as a file of its own. */
const coreStaysApart = {
  name: "core-stays-apart",
  setup(bundler) {
    bundler.onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
      const inside = relative(join(here, "src"), join(resolveDir, path)).split(sep);
      return inside[0] === "core" ? { path: "./core.js", external: true } : undefined;
    });
  },
};

async function made({ from, to }) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: [from],
    outfile: `dist/${to}`,
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    target: ["es2022"],
    charset: "utf8",
    legalComments: "inline",
    // Fonts and pictures are files beside the style sheet, never inside it.
    external: ["*.svg", "*.woff2"],
    plugins: to === "core.js" ? [] : [coreStaysApart],
    logLevel: "warning",
  });
  return Buffer.from(result.outputFiles[0].contents);
}

let failed = false;
for (const part of PARTS) {
  if (!existsSync(join(here, part.from))) continue;
  const bytes = await made(part);
  const zipped = gzipSync(bytes, { level: 9 }).length;
  const file = join(dist, part.to);
  const fresh = existsSync(file) && readFileSync(file).equals(bytes);
  const size = `${part.to}: ${bytes.length} bytes, ${zipped} after gzip (budget ${part.budget})`;
  if (zipped > part.budget) {
    console.error(`TOO LARGE ${size}`);
    failed = true;
  }
  if (process.argv.includes("--check")) {
    console.log(`${fresh ? "fresh" : "STALE"} ${size}`);
    failed ||= !fresh;
  } else {
    mkdirSync(dist, { recursive: true });
    writeFileSync(file, bytes);
    console.log(size);
  }
}
if (failed) console.error("run `npm ci && npm run build` in ui/ and commit ui/dist");
process.exit(failed ? 1 : 0);

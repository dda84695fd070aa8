// Counts what passed and what failed, and remembers what was visited.

export class Report {
  passed = 0;
  failures = [];
  seen = new Set();

  check(holds, what) {
    if (holds) this.passed += 1;
    else this.fail(what);
    return holds;
  }

  equal(is, should, what) {
    return this.check(is === should, `${what}: ${JSON.stringify(is)}, not ${JSON.stringify(should)}`);
  }

  fail(what) {
    this.failures.push(what);
    console.error(`FAILED ${what}`);
  }

  visited(path, error) {
    this.seen.add(`${path} ${error ?? ""}`.trim());
  }

  /** A journey stops at the first step that cannot be taken; the others still run. */
  async journey(name, steps) {
    const start = Date.now();
    try {
      await steps();
      this.passed += 1;
      console.log(`ok ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      this.fail(`${name}: ${error.stack ?? error}`);
    }
  }
}

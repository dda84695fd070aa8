// Counts what passed and what failed.

export class Report {
  passed = 0;
  failures = [];

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

/** What the browser brings, as values that a test can replace. */

import { type Database, IndexedDatabase } from "./database.ts";
import { BrowserPasskeys, type Passkeys } from "./webauthn.ts";

/** The parts of a browser that a wallet uses. */
export interface Environment {
  /** Unix seconds. */
  clock: () => number;
  fetch: typeof fetch;
  passkeys: Passkeys;
  database: Database;
}

/** The browser itself, except for what is given. */
export function environment(given: globalThis.Partial<Environment> = {}): Environment {
  return {
    clock: given.clock ?? (() => Math.floor(Date.now() / 1000)),
    fetch: given.fetch ?? ((input, init) => fetch(input, init)),
    passkeys: given.passkeys ?? new BrowserPasskeys(),
    database: given.database ?? new IndexedDatabase("hufu-wallet"),
  };
}

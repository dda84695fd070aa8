/** Being asked without a browser at the platform (decision 0029): by a code that the person tells, or by a platform that knows them. */

import { type Holder, twoOf } from "./holder.ts";
import { webAddress, type Agreed } from "./sign_in.ts";
import type { Core } from "./state.ts";
import { found, personRequests, type PersonRequest, proceed, type Waiting, waiting } from "./wire.ts";
import { NODES } from "./words.ts";

/** The requests that two nodes say alike, each once. When one ends each says by its own clock; the earliest counts. */
function alike(told: readonly PersonRequest[][]): PersonRequest[] {
  const known = new Map<string, PersonRequest & { nodes: Set<number> }>();
  for (const [node, requests] of told.entries()) {
    for (const { tx, secret, exp } of requests) {
      const name = JSON.stringify([tx, secret]);
      const before = known.get(name);
      known.set(name, {
        tx, secret,
        exp: Math.min(exp, before?.exp ?? exp),
        nodes: new Set([...(before?.nodes ?? []), node]),
      });
    }
  }
  return [...known.values()].flatMap(({ nodes, ...one }) => (nodes.size >= 2 ? [one] : []));
}

export class Requests {
  readonly #core: Core;
  readonly #holder: Holder;

  constructor(core: Core, holder: Holder) {
    this.#core = core;
    this.#holder = holder;
  }

  /** Waits: `code` is for the person to tell, `secret` stays in this browser. Both are good until `exp`. */
  wait(): Promise<Waiting> {
    return this.#core.api.post("front", "/requests/wait", {}, waiting);
  }

  /** The transaction that a platform has begun with the code, if one has. */
  async look(secret: string): Promise<string | undefined> {
    return (await this.#core.api.post("front", "/requests/look", { secret }, found)).tx;
  }

  /** What platforms that know this person ask just now, as two nodes say it: one node alone asks nobody anything. */
  read(): Promise<PersonRequest[]> {
    return this.#holder.within(async () => {
      const proof = await this.#holder.proof("requests");
      const told = twoOf(await Promise.allSettled(NODES.map((node) => this.#core.api.post(node, "/v1/requests", { proof }, personRequests))));
      return alike(told.map(({ requests }) => requests));
    });
  }

  /** Hands the result to the front, for the platform to fetch; the answer is where the browser goes next. */
  async complete({ tx, id_token, s, handle }: Agreed, secret: string): Promise<string> {
    const answer = { tx, id_token, s, ...(handle !== undefined && { handle }) };
    return webAddress((await this.#core.api.post("front", "/requests/complete", { answer, secret }, proceed)).redirect_to);
  }

  /** Refuses: the platform learns that access was denied and nothing else. */
  async refuse(tx: string, secret: string): Promise<string> {
    return webAddress((await this.#core.api.post("front", "/requests/refuse", { tx, secret }, proceed)).redirect_to);
  }
}

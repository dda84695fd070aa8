/** Being asked without a browser at the platform (decision 0029): by a code that the person tells, or by a platform that knows them. */

import { type Holder, twoOf } from "./holder.ts";
import { webAddress, type Agreed } from "./sign_in.ts";
import type { Core } from "./state.ts";
import { found, personRequests, type PersonRequest, proceed, type Waiting, waiting } from "./wire.ts";
import { NODES } from "./words.ts";

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
      const texts = told.map(({ requests }) => requests.map((one) => JSON.stringify([one.tx, one.secret, one.exp])));
      const twice = (text: string) => texts.filter((all) => all.includes(text)).length >= 2;
      const known = new Map(told.flatMap(({ requests }, at) => requests.map((one, index) => [texts[at]![index]!, one] as const)));
      return [...known].flatMap(([text, one]) => (twice(text) ? [one] : []));
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

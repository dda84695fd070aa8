/** Requests to the offices: JSON over fetch, refusals typed, answers of the documented shape or none. */

import { Refused, type Bilingual, Unreachable } from "./error.ts";
import type { Shape } from "./shape.ts";
import type { NodeIndex } from "./words.ts";

/** Where the offices answer: origins, without a slash at the end. */
export interface Offices {
  registrar: string;
  /** Nodes 1, 2 and 3. */
  nodes: readonly [string, string, string];
  /** The issuer, if it is not named. */
  front?: string;
}

/** Whom a request is for. */
export type To = NodeIndex | "registrar" | "front";

/** Milliseconds until an office counts as unreachable. */
const TIMEOUT = 10_000;

/** The largest answer that is read, in characters; ten copies of a certificate are a tenth of it. */
const MAX_ANSWER = 512 * 1024;

const nameOf = (to: To) => (typeof to === "number" ? `node ${to}` : `the ${to}`);

export class Api {
  readonly #addresses: Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor(offices: Offices, issuer: string, fetcher: typeof fetch) {
    const [first, second, third] = offices.nodes;
    this.#addresses = { registrar: offices.registrar, front: offices.front ?? issuer, 1: first, 2: second, 3: third };
    this.#fetch = fetcher;
  }

  /** POSTs `message` and reads the answer. Cookies go to the front alone, which checks its own. */
  async post<T>(to: To, path: string, message: unknown, shape: Shape<T>): Promise<T> {
    const answer = await this.#ask(to, path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(message),
      credentials: to === "front" ? "include" : "omit",
    });
    try {
      return shape(JSON.parse(answer), "$");
    } catch (error) {
      throw new Unreachable(nameOf(to), error instanceof Error ? error.message : "not JSON");
    }
  }

  /** GETs text. */
  get(to: To, path: string): Promise<string> {
    return this.#ask(to, path, { method: "GET", credentials: "omit" });
  }

  async #ask(to: To, path: string, init: RequestInit): Promise<string> {
    let response: Response;
    let body: string;
    try {
      response = await this.#fetch(`${this.#addresses[to]}${path}`, {
        ...init,
        cache: "no-store",
        redirect: "error",
        referrerPolicy: "no-referrer",
        signal: AbortSignal.timeout(TIMEOUT),
      });
      body = await response.text();
    } catch (error) {
      throw new Unreachable(nameOf(to), error instanceof Error ? error.message : "failed");
    }
    if (body.length > MAX_ANSWER) throw new Unreachable(nameOf(to), "too long an answer");
    if (response.status === 200) return body;
    throw refusal(body, response) ?? new Unreachable(nameOf(to), `HTTP status ${response.status}`);
  }
}

/** `{error, message, error_id}`; the sentences may stand beside the code as well. */
function refusal(body: string, response: Response): Refused | undefined {
  let given: Record<string, unknown>;
  try {
    given = JSON.parse(body) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const code = given?.["error"] ?? given?.["refusal"];
  if (typeof code !== "string" || !/^[a-z_]{1,40}$/.test(code)) return undefined;
  const sentences = (given["message"] ?? given) as Partial<Bilingual>;
  const both = typeof sentences.en === "string" && typeof sentences["zh-Hans"] === "string";
  const errorId = typeof given["error_id"] === "string" ? given["error_id"] : undefined;
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  const bilingual = both ? { "zh-Hans": sentences["zh-Hans"]!, en: sentences.en! } : undefined;
  return new Refused(code, bilingual, errorId, Number.isFinite(seconds) ? seconds : undefined);
}

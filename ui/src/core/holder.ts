/** The holder key's quarter of an hour (flows 4): after one assertion it alone signs passes and reads of one's own row. */

import { b64, framed, unb64, type Bytes } from "./bytes.ts";
import { plainChallenge } from "./challenge.ts";
import { alike, areComplete, fromRows, samePerson } from "./commitments.ts";
import { Refused, Unreachable, Untrusted } from "./error.ts";
import { parseNumber } from "./network_number.ts";
import { type Core, credentialHash, HOLDER_KEY } from "./state.ts";
import { done, type RowView, rowView, type Signed } from "./wire.ts";
import { type NodeIndex, NODES } from "./words.ts";

/** Signs with the holder key, and opens its quarter of an hour. */
export class Holder {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** The holder key's word on `bytes`. */
  async proof(bytes: Bytes | string): Promise<{ credential: string; t: number; signature: string }> {
    const device = await this.#core.registered();
    const t = this.#core.now();
    const signature = await this.#core.keys.sign(HOLDER_KEY, plainChallenge("pass", bytes, t));
    return { credential: credentialHash(device), t, signature: b64(signature) };
  }

  /** Opens the quarter of an hour at every node that answers: one prompt. Two must agree. */
  async open(): Promise<void> {
    const device = await this.#core.registered();
    const t = this.#core.now();
    const challenge = plainChallenge("pass", framed("holder", unb64(credentialHash(device))!), t);
    const request = { assertion: await this.#core.assert(device, challenge), t };
    twoOf(await Promise.allSettled(NODES.map((node) => this.#core.api.post(node, "/v1/holder", request, done))));
  }

  /** Runs `work`; if the quarter of an hour is over at a node, opens it (one prompt) and runs it again. */
  async within<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isWindowOver(error)) throw error;
      await this.open();
      return work();
    }
  }

  /** What one node holds; the first that answers, if none is named. */
  row(node?: NodeIndex): Promise<RowView> {
    return this.within(async () => {
      if (node !== undefined) return this.#read(node);
      const answers = await Promise.allSettled(NODES.map((each) => this.#read(each)));
      const answered = answers.find((answer) => answer.status === "fulfilled");
      return answered ? answered.value : twoOf(answers)[0]!;
    });
  }

  async #read(node: NodeIndex): Promise<RowView> {
    return this.#core.api.post(node, "/v1/row", { proof: await this.proof("row") }, rowView);
  }

  /** What every node holds, or why it did not say. */
  async rows(): Promise<{ node: NodeIndex; row?: RowView; refused?: string }[]> {
    const ask = () => Promise.allSettled(NODES.map((node) => this.#read(node)));
    let answers = await ask();
    if (answers.some((answer) => answer.status === "rejected" && isWindowOver(answer.reason))) {
      await this.open();
      answers = await ask();
    }
    return answers.map((answer, at) => {
      const node = NODES[at]!;
      if (answer.status === "fulfilled") return { node, row: answer.value };
      return { node, refused: answer.reason instanceof Refused ? answer.reason.code : "unreachable" };
    });
  }

  /** The devices that any node has: a node that hides a newcomer hides it from nobody. Two must answer. */
  async devices(): Promise<RowView["devices"]> {
    const answers = await this.rows();
    const rows = answers.flatMap(({ row }) => (row ? [row] : []));
    if (rows.length < 2) throw new Refused(answers.find(({ refused }) => refused && refused !== "unreachable")?.refused ?? "nodes_unavailable");
    return [...new Map(rows.flatMap((row) => row.devices).map((device) => [device.credential, device])).values()];
  }

  /** The row as two nodes have it, and which nodes those are: without two, nothing is begun. */
  async rowOfTwo(): Promise<{ row: RowView; nodes: NodeIndex[] }> {
    const agree = await this.#agreeing();
    return { row: agree[0]!.row, nodes: agree.map((one) => one.node) };
  }

  /**
   * Takes number and commitments from two nodes that say the same: what a recovered device begins with, and what any device
   * needs after another one has ended all sessions. Nodes that lack each other's word on the epoch, since a tab closed before it
   * had carried it, get it now. Answers whether anything was new.
   */
  async refresh(): Promise<boolean> {
    let rows = (await this.#agreeing()).map((agreed) => agreed.row);
    const carried = !rows.every(areComplete);
    if (carried) {
      await this.report(rows.map((row) => row.report));
      rows = (await this.#agreeing()).map((agreed) => agreed.row);
    }
    const [one, other] = alike(rows);
    const commitments = fromRows(one, other);
    const { number } = one;
    if (number !== other.number || parseNumber(number) !== number) throw new Untrusted("two nodes report different numbers");
    const before = await this.#core.profile();
    samePerson(before.commitments, commitments);
    const news = before.number !== number || JSON.stringify(before.commitments) !== JSON.stringify(commitments);
    if (news) await this.#core.update((profile) => void Object.assign(profile, { number, commitments }));
    return news || carried;
  }

  /** Carries the nodes' words on the present epoch to every node; two must take them. */
  async report(reports: readonly Signed[]): Promise<void> {
    const request = { credential: credentialHash(await this.#core.registered()), reports };
    twoOf(await Promise.allSettled(NODES.map((node) => this.#core.api.post(node, "/v1/reports", request, done))));
  }

  /** The newest row that two nodes share: one node that is ahead or behind alone stops nobody. */
  #agreeing(): Promise<{ node: NodeIndex; row: RowView }[]> {
    return this.within(async () => {
      const reads = NODES.map(async (node) => ({ node, row: await this.#read(node) }));
      const answers = twoOf(await Promise.allSettled(reads));
      const same = ({ row }: { row: RowView }) => answers.filter((one) => one.row.version === row.version && one.row.head === row.head);
      const [agree] = answers.map(same).filter((group) => group.length >= 2).sort((a, b) => b[0]!.row.version - a[0]!.row.version);
      if (!agree) throw new Refused("nodes_disagree");
      return agree;
    });
  }
}

function isWindowOver(error: unknown): boolean {
  return error instanceof Refused && error.code === "holder_key_refused";
}

/** Two answers at least, or why not: a refusal says more than silence. */
export function twoOf<T>(answers: readonly PromiseSettledResult<T>[]): T[] {
  const good = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  if (good.length >= 2) return good;
  const reasons = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
  throw reasons.find((reason) => !(reason instanceof Unreachable)) ?? new Refused("nodes_unavailable");
}

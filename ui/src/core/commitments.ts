/** What the nodes committed to for this person: every evaluation is checked against it (flows 1). */

import { framed, unb64 } from "./bytes.ts";
import { trusted, Untrusted } from "./error.ts";
import { verifyEd25519 } from "./frost.ts";
import { G1, sum } from "./group.ts";
import { parseExact, type Shape } from "./shape.ts";
import { epochReport, report, type RowView, type Signed, type Trust } from "./wire.ts";
import { assigned, holds, type NodeIndex, type Pair, type Subset, SUBSETS } from "./words.ts";

/** Commitments by subset, base64url. */
export type Held = Partial<Record<Subset, string>>;

/** C_A, the present epoch's, and the password's. */
export interface Commitments {
  pseudonym: Held;
  epoch: Held;
  password: Held;
  /** The generation of K_A that they belong to; absent for the first. */
  generation?: number;
}

/** Commitments of one generation, with room for all of them. */
function empty(generation = 0): Commitments {
  return { pseudonym: {}, epoch: {}, password: {}, ...(generation > 0 && { generation }) };
}

/** A message that a node signed for `purpose`, opened under the node's pinned key. */
function open<T extends { node: NodeIndex }>(trust: Trust, message: Signed, purpose: string, shape: Shape<T>): T {
  const [payload, signature] = [unb64(message.payload), unb64(message.signature)];
  try {
    const opened = parseExact(shape, payload!);
    const key = unb64(trust.nodes[opened.node - 1]!.signing)!;
    const bytes = framed("hufu-v1-office", message.office, purpose, payload!);
    if (message.office === `node-${opened.node}` && verifyEd25519(key, bytes, signature!)) return opened;
  } catch {
    // One answer for every cause.
  }
  throw new Untrusted("a node's report");
}

/**
 * Those that verify, are on what is asked, and are of the generation that two nodes share. One that lies badly or has missed a rotation
 * is one fewer, and two are enough.
 */
function sound<T extends { node: NodeIndex; generation?: number }>(trust: Trust, messages: readonly Signed[], purpose: string, shape: Shape<T>, on: (opened: T) => boolean) {
  const opened = messages.flatMap((message) => {
    try {
      const one = open(trust, message, purpose, shape);
      return on(one) ? [{ message, opened: one, generation: one.generation ?? 0 }] : [];
    } catch {
      return [];
    }
  });
  for (const { generation } of opened) {
    const good = opened.filter((one) => one.generation === generation);
    if (new Set(good.map((one) => one.opened.node)).size >= 2) return { generation, good };
  }
  throw new Untrusted("fewer than two reports");
}

/** Two holders of a sub-key must say the same, and nobody speaks for a key it does not hold. */
function put(held: Held, node: NodeIndex, subset: Subset, reported: string): void {
  if (!holds(node, subset)) throw new Untrusted("a report on another node's key");
  if (held[subset] !== undefined && held[subset] !== reported) throw new Untrusted("two nodes report different keys");
  held[subset] = reported;
}

/** From the nodes' enrolment reports; two nodes at least. */
export function fromReports(trust: Trust, enrolmentId: string, reports: readonly Signed[]): Commitments {
  const { generation, good } = sound(trust, reports, "report", report, (one) => one.enrolment_id === enrolmentId);
  const held = empty(generation);
  for (const { opened } of good) {
    for (const subset of SUBSETS) {
      const reported = opened.commitments[subset];
      if (!reported) continue;
      put(held.pseudonym, opened.node, subset, reported.pseudonym);
      put(held.epoch, opened.node, subset, reported.epoch);
      put(held.password, opened.node, subset, reported.password);
    }
  }
  return held;
}

/** The commitments of a new epoch, and the reports on this head that they come from. */
export function newEpoch(trust: Trust, head: string, reports: readonly Signed[]): { epoch: Held; words: Signed[] } {
  const held: Held = {};
  const { good } = sound(trust, reports, "epoch-report", epochReport, (one) => one.head === head);
  for (const { opened } of good) {
    for (const subset of SUBSETS) {
      const reported = opened.commitments[subset];
      if (reported) put(held, opened.node, subset, reported);
    }
  }
  return { epoch: held, words: good.map(({ message }) => message) };
}

/** Whether a node has its peers' words on every sub-key; after the end of sessions they are carried to it. */
export function areComplete(row: RowView): boolean {
  return SUBSETS.every((subset) => row.commitments[subset] !== undefined);
}

/** From what two nodes hold: one that lies cannot make another say the same. */
export function fromRows(one: RowView, other: RowView): Commitments {
  // What two nodes say can be compared only if it belongs to one generation.
  if ((one.generation ?? 0) !== (other.generation ?? 0)) throw new Untrusted("two nodes report keys of different generations");
  const held = empty(one.generation);
  for (const subset of SUBSETS) {
    const [mine, theirs] = [one.commitments[subset], other.commitments[subset]];
    if (!mine || !theirs) throw new Untrusted("a missing commitment");
    for (const kind of ["pseudonym", "epoch", "password"] as const) {
      if (mine[kind] !== theirs[kind]) throw new Untrusted("two nodes report different keys");
      held[kind][subset] = mine[kind];
    }
  }
  return held;
}

/** Two rows that say the same of the keys; else the first two, which do not. */
export function alike(rows: readonly RowView[]): readonly [RowView, RowView] {
  const pairs = rows.flatMap((one, at) => rows.slice(at + 1).map((other) => [one, other] as const));
  const same = ([one, other]: readonly [RowView, RowView]) => {
    try {
      return fromRows(one, other) !== undefined;
    } catch {
      return false;
    }
  };
  const found = pairs.find(same) ?? pairs[0];
  if (!found) throw new Untrusted("one row only");
  return found;
}

/**
 * Refuses commitments that are said to be the same person's and have another sum: new K_A change each of them and never the sum,
 * and nothing else changes any (docs/decisions/0017). A device that knows none yet takes what two nodes say.
 */
export function samePerson(known: Commitments | undefined, told: Commitments): void {
  if (!known || !SUBSETS.every((subset) => known.pseudonym[subset] !== undefined)) return;
  const [before, now] = [known, told].map(({ pseudonym }) => trusted("a commitment", () => sum(G1, SUBSETS.map((subset) => pseudonym[subset]!))));
  if (!before!.equals(now!)) throw new Untrusted("the nodes' keys for this person have another sum than before");
}

/** The commitments `node` answers to in `pair`. */
export function assignedTo(held: Held, pair: Pair, node: NodeIndex): string[] {
  return assigned(pair, node).map((subset) => {
    const commitment = held[subset];
    if (commitment === undefined) throw new Untrusted("a missing commitment");
    return commitment;
  });
}

/** Words that several parts speak: labels, answers, nodes and pairs (crates/kernel/src/words.rs, office.rs). */

/** What a device assertion is for (flows 4). */
export const LABELS = [
  "enrol", "sign-in", "add-device", "remove-device", "lock", "unlock", "end-sessions", "replace-number", "export",
  "pass", "leave", "guardian", "recover", "veto", "event",
] as const;
export type Label = (typeof LABELS)[number];

export type Level = "direct" | "blind" | "unlinkable";

export const STRENGTHS = ["certificate", "certificate+password"] as const;
/** `certificate`: the device's key; `certificate+password`: and the 8-digit password. */
export type Strength = (typeof STRENGTHS)[number];

export const ANSWERS = ["real", "unique", "alive", "age_over_18", "age_band", "guardian_consent"] as const;
/** One answer of a verification result. */
export type Answer = (typeof ANSWERS)[number];

export const HANDLE_USES = ["refresh", "ciba", "signals"] as const;
/** What a platform may do later with its subject handle (crates/wire/src/subject_handle.rs). */
export type HandleUse = (typeof HANDLE_USES)[number];

export const AGE_BANDS = ["under_14", "14_to_17", "18_or_over"] as const;
export type AgeBand = (typeof AGE_BANDS)[number];

export const DOCUMENT_TYPES = [
  "resident_identity_card", "hong_kong_macau_residence_permit", "taiwan_residence_permit",
  "hong_kong_macau_travel_permit", "taiwan_travel_permit", "foreign_permanent_residence_card", "ordinary_passport",
] as const;
export type DocumentType = (typeof DOCUMENT_TYPES)[number];

export type Lang = "zh-Hans" | "en";

/** Which of the three nodes. */
export type NodeIndex = 1 | 2 | 3;
export const NODES: readonly NodeIndex[] = [1, 2, 3];

/** The sub-key sets A of flows 1. */
export type Subset = "12" | "13" | "23";
export const SUBSETS: readonly Subset[] = ["12", "13", "23"];

/** The two nodes that serve one request, lower index first. */
export type Pair = readonly [NodeIndex, NodeIndex];
export const PAIRS: readonly Pair[] = [[1, 2], [1, 3], [2, 3]];

/** Whether `node` holds the key of `subset`. */
export function holds(node: NodeIndex, subset: Subset): boolean {
  return subset.includes(String(node));
}

/** The subsets `node` evaluates in `pair`: the lower index serves two, the other one. */
export function assigned(pair: Pair, node: NodeIndex): Subset[] {
  return SUBSETS.filter((subset) => (holds(pair[0], subset) ? pair[0] : pair[1]) === node);
}

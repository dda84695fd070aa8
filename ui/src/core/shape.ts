/** Reading JSON that came from outside: exact members, exact types, nothing unknown. */

import { unb64 } from "./bytes.ts";

/** Checks a value and gives it its type; throws {@link ShapeError}. */
export type Shape<T> = (value: unknown, at: string) => T;
/** What a shape reads. */
export type Read<S> = S extends Shape<infer T> ? T : never;

/** The value is not of the documented shape. */
export class ShapeError extends Error {}

function refuse(at: string, expected: string): never {
  throw new ShapeError(`${at}: expected ${expected}`);
}

export const text: Shape<string> = (value, at) => (typeof value === "string" ? value : refuse(at, "text"));
export const flag: Shape<boolean> = (value, at) => (typeof value === "boolean" ? value : refuse(at, "true or false"));
/** An integer that a double holds exactly: times, versions, counts. */
export const int: Shape<number> = (value, at) => (Number.isSafeInteger(value) ? (value as number) : refuse(at, "an integer"));

/** base64url, of `length` bytes if given; stays text, as messages carry it on. */
export function encoded(length?: number): Shape<string> {
  return (value, at) => {
    const bytes = typeof value === "string" ? unb64(value) : undefined;
    if (!bytes || (length !== undefined && bytes.length !== length)) return refuse(at, `${length ?? "some"} bytes`);
    return value as string;
  };
}

/** One of these values. */
export function oneOf<const V extends string | number>(values: readonly V[]): Shape<V> {
  return (value, at) => (values.includes(value as V) ? (value as V) : refuse(at, values.join(" or ")));
}

export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return refuse(at, "a list");
    return value.map((item, index) => shape(item, `${at}[${index}]`));
  };
}

/** A list of exactly so many. */
export function listOf<T>(shape: Shape<T>, length: number): Shape<T[]> {
  return (value, at) => {
    const read = list(shape)(value, at);
    return read.length === length ? read : refuse(at, `${length} items`);
  };
}

const OPTIONAL = Symbol("optional");
type Optional<T> = Shape<T | undefined> & { [OPTIONAL]: true };

/** A member that may be absent. */
export function optional<T>(shape: Shape<T>): Optional<T> {
  const read: Shape<T | undefined> = (value, at) => (value === undefined ? undefined : shape(value, at));
  return Object.assign(read, { [OPTIONAL]: true as const });
}

type Members = Record<string, Shape<unknown>>;
type OptionalNames<M extends Members> = { [K in keyof M]: M[K] extends { [OPTIONAL]: true } ? K : never }[keyof M];
type Record_<M extends Members> = { [K in Exclude<keyof M, OptionalNames<M>>]: Read<M[K]> } & {
  [K in OptionalNames<M>]?: Read<M[K]>;
};

/** An object with these members and no other. */
export function record<M extends Members>(members: M): Shape<Record_<M>> {
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(at, "an object");
    const given = value as Record<string, unknown>;
    for (const name of Object.keys(given)) if (!Object.hasOwn(members, name)) return refuse(`${at}.${name}`, "no such member");
    const out: Record<string, unknown> = {};
    for (const [name, shape] of Object.entries(members)) {
      const read = shape(Object.hasOwn(given, name) ? given[name] : undefined, `${at}.${name}`);
      if (read !== undefined) out[name] = read;
    }
    return out as Record_<M>;
  };
}

/** An object whose members all have one shape. */
export function map<K extends string, T>(keys: readonly K[], shape: Shape<T>): Shape<Partial<Record<K, T>>> {
  return record(Object.fromEntries(keys.map((key) => [key, optional(shape)]))) as Shape<Partial<Record<K, T>>>;
}

/** An object of any kind, unread. */
export const anything: Shape<unknown> = (value) => value;

/**
 * JSON in the one spelling that our offices write: no white space, no member twice. Two parsers that differ on which of
 * two equal members counts could be played against each other (RFC 8725 section 2.4).
 */
export function parseExact<T>(shape: Shape<T>, bytes: Uint8Array): T {
  const json = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const value: unknown = JSON.parse(json);
  if (JSON.stringify(value) !== json) throw new ShapeError("not in the one spelling");
  return shape(value, "$");
}

/** The name on the card: enough to know one's own card by, too little for a bystander. */

/** The first character of each word, and a star for every other: `王**`, `M**** S****`. */
export function maskedName(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  return words
    .map((word) => {
      const [first = "", ...rest] = [...word];
      return first + "*".repeat(Math.min(rest.length, 6));
    })
    .join(" ");
}

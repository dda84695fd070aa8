//! The names of keys that change with a rotation of K_A (docs/trust.md). Generation 0 has none in its name.

use hufu_kernel::{NodeIndex, Subset};

/// K_A of a generation: `k-12`, `k-12.1`.
#[must_use]
pub fn sub_key(subset: Subset, generation: u32) -> String {
    numbered(&format!("k-{}", subset.name()), generation)
}

/// Z, from the generation before to this one: `z.1`.
#[must_use]
pub fn zero(generation: u32) -> String {
    numbered("z", generation)
}

/// From when rows move to this generation: `since.1`, 8 bytes, seconds since 1970.
#[must_use]
pub fn since(generation: u32) -> String {
    numbered("since", generation)
}

/// What stands among an office's pending keys from before it confirms a ceremony until its end, and holds the ceremony's name: those keys
/// may count at others already, and be the only copies here.
pub const CONFIRMED: &str = "confirmed";

fn numbered(name: &str, generation: u32) -> String {
    if generation == 0 { name.to_owned() } else { format!("{name}.{generation}") }
}

/// The generations of which all of a node's K_A are among these names, oldest first.
#[must_use]
pub fn generations<'a>(index: NodeIndex, names: impl IntoIterator<Item = &'a str> + Clone) -> Vec<u32> {
    let has = |wanted: &str| names.clone().into_iter().any(|name| name == wanted);
    let mut found: Vec<u32> = names
        .clone()
        .into_iter()
        .filter_map(|name| match name.strip_prefix("k-")?.split_once('.') {
            None => Some(0),
            Some((_, number)) => number.parse().ok().filter(|generation| *generation > 0),
        })
        .filter(|generation| Subset::of(index).all(|subset| has(&sub_key(subset, *generation))))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_there_when_both_keys_of_the_node_are() {
        let one = NodeIndex::ALL[0];
        let names =
            ["k-12", "k-13", "k-12.1", "k-13.1", "k-12.2", "kp-12", "k-23.7", "z.1", "new:k-13.2", "k-x", "k-12.01"];
        assert_eq!(generations(one, names), [0, 1]);
        assert_eq!(generations(one, ["k-12.3", "k-13.3"]), [3]);
        assert_eq!(generations(NodeIndex::ALL[1], names), Vec::<u32>::new());
    }
}

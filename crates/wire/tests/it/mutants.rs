//! Fuzzing that begins at sound samples, on a stable toolchain: each sample is tried as it is, and then changed in a few places as the
//! random engine says. Pure noise hardly passes a parser's first byte; a sample with one byte wrong gets to where the rules are.

use std::path::Path;

/// A few changes: place, how, byte.
type Edits = Vec<(u16, u8, u8)>;

/// The files of a folder below this crate, in the order of their names.
pub fn samples(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Holds `check` against every sample, and against what becomes of them.
pub fn hold(samples: Vec<Vec<u8>>, check: fn(&[u8])) {
    assert!(!samples.is_empty());
    samples.iter().for_each(|sample| check(sample));
    bolero::check!().with_type::<(u8, Edits, Option<u16>)>().for_each(move |(which, edits, cut)| {
        let mut bytes = samples[usize::from(*which) % samples.len()].clone();
        for (place, how, byte) in edits.iter().take(4) {
            let place = usize::from(*place) % (bytes.len() + 1);
            match how % 4 {
                0 if place < bytes.len() => bytes[place] = *byte,
                1 if place < bytes.len() => drop(bytes.remove(place)),
                // A part stands twice.
                2 => {
                    let end = (place + usize::from(*byte)).min(bytes.len());
                    bytes.extend_from_within(place..end);
                }
                _ => bytes.insert(place, *byte),
            }
        }
        if let Some(cut) = cut.filter(|cut| cut % 3 == 0) {
            bytes.truncate(usize::from(cut) % (bytes.len() + 1));
        }
        check(&bytes);
    });
}

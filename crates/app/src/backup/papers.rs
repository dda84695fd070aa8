//! The registry's certificates of platforms as lines of JSON. They are public; what a backup guards is that none is missing or added.

use crate::failure::Failure;
use crate::offices::registry::Admitted;
use hufu_kernel::hex;
use hufu_store::{Dumped, Progress};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};

/// The longest line.
const LONGEST: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    /// A platform's certificate.
    Platform { client_id: String, certificate: String },
    /// Comes last. The digest is of all lines before.
    End { platforms: u64, digest: String },
}

fn put(out: &mut dyn Write, hash: &mut Sha256, line: &Line) -> Result<(), Failure> {
    let mut text = serde_json::to_vec(line).map_err(Failure::other)?;
    text.push(b'\n');
    hash.update(&text);
    out.write_all(&text).map_err(Failure::other)
}

fn done(platforms: u64, digest: String) -> Dumped {
    Dumped { rows: BTreeMap::from([("platform".to_owned(), platforms)]), commits: 0, digest }
}

/// Writes every certificate.
///
/// # Errors
/// [`Failure`].
pub fn export(admitted: &Admitted, out: &mut dyn Write, progress: Progress<'_>) -> Result<Dumped, Failure> {
    admitted.refuse_if_unfinished()?;
    let (mut hash, mut platforms) = (Sha256::new(), 0);
    for client_id in admitted.names()? {
        // One that was withdrawn since the names were read is none.
        let Some(certificate) = admitted.read(&client_id)? else { continue };
        put(out, &mut hash, &Line::Platform { client_id, certificate })?;
        platforms += 1;
        progress(platforms);
    }
    let digest = hex(&hash.clone().finalize());
    put(out, &mut hash, &Line::End { platforms, digest: digest.clone() })?;
    Ok(done(platforms, digest))
}

/// Puts exactly these certificates in place of those that are there, all at once, if they are those of the digest that was `noted`.
/// Those there stay if this fails; while one that was interrupted is not repeated, the registry does not start.
///
/// # Errors
/// [`Failure`].
pub fn import(
    admitted: &Admitted,
    input: &mut dyn BufRead,
    progress: Progress<'_>,
    noted: Option<&str>,
) -> Result<Dumped, Failure> {
    let (found, digest) = read(input)?;
    if noted.is_some_and(|noted| noted != digest) {
        return Err(Failure::other("these are not the certificates of the digest that was noted; nothing was changed"));
    }
    admitted.replace(&found, progress)?;
    Ok(done(found.len() as u64, digest))
}

fn read(input: &mut dyn BufRead) -> Result<(BTreeMap<String, String>, String), Failure> {
    let broken = || Failure::other("the certificates are cut off or were changed");
    let (mut hash, mut found) = (Sha256::new(), BTreeMap::new());
    loop {
        let mut text = Vec::new();
        std::io::Read::take(&mut *input, LONGEST).read_until(b'\n', &mut text).map_err(|_| broken())?;
        if text.last() != Some(&b'\n') {
            return Err(broken());
        }
        let before = hex(&hash.clone().finalize());
        hash.update(&text);
        match serde_json::from_slice(&text).map_err(|_| broken())? {
            Line::Platform { client_id, certificate } => {
                found.insert(client_id, certificate);
            }
            Line::End { platforms, digest } => {
                let nothing_follows = input.fill_buf().map_err(|_| broken())?.is_empty();
                if digest == before && platforms == found.len() as u64 && nothing_follows {
                    return Ok((found, digest));
                }
                return Err(broken());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(names: &[&str]) -> (tempfile::TempDir, Admitted) {
        let folder = tempfile::tempdir().unwrap();
        let admitted = Admitted::of(folder.path());
        for name in names {
            admitted.keep(name, &format!("jws of {name}")).unwrap();
        }
        (folder, admitted)
    }

    #[test]
    fn strangers_lines_are_certificates_or_are_refused() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let lines = [&b"{\"line\":\"platform\",\"client_id\":\"a\",\"certificate\":\"b\"}\n"[..], bytes].concat();
            for mut input in [bytes, &lines] {
                assert!(read(&mut input).is_err());
            }
        });
    }

    #[test]
    fn exactly_what_was_written_is_there_again() {
        let (_from, from) = filled(&["shop", "hall"]);
        let (_to, to) = filled(&["shop", "later"]);
        to.keep("shop", "another").unwrap();
        let mut lines = Vec::new();
        let written = export(&from, &mut lines, &mut |_| {}).unwrap();
        let other = import(&to, &mut lines.as_slice(), &mut |_| {}, Some("another")).unwrap_err().to_string();
        assert!(other.contains("not the certificates of the digest"), "{other}");
        assert_ne!(to.names().unwrap(), from.names().unwrap(), "nothing was changed");
        let noted = Some(written.digest.as_str());
        assert_eq!(import(&to, &mut lines.as_slice(), &mut |_| {}, noted).unwrap(), written);
        assert_eq!(to.names().unwrap(), from.names().unwrap());
        assert_eq!(to.read("shop").unwrap().unwrap(), "jws of shop");
    }

    #[test]
    fn any_change_of_the_lines_is_refused_and_changes_nothing() {
        let (_from, from) = filled(&["shop", "hall"]);
        let mut lines = Vec::new();
        export(&from, &mut lines, &mut |_| {}).unwrap();
        let (_to, to) = filled(&["other"]);
        let refused = |lines: Vec<u8>| assert!(import(&to, &mut lines.as_slice(), &mut |_| {}, None).is_err());
        for at in 0..lines.len() {
            refused(lines[..at].to_vec());
            let mut changed = lines.clone();
            changed[at] ^= 1;
            refused(changed);
        }
        refused([&lines[..], b"\n"].concat());
        assert_eq!(to.names().unwrap().into_iter().collect::<Vec<_>>(), ["other"]);
    }

    /// What `names` come to as lines, whatever they are.
    fn lines(names: &[&str]) -> Vec<u8> {
        let (mut out, mut hash) = (Vec::new(), Sha256::new());
        for name in names {
            let line = Line::Platform { client_id: (*name).to_owned(), certificate: format!("jws of {name}") };
            put(&mut out, &mut hash, &line).unwrap();
        }
        let digest = hex(&hash.clone().finalize());
        put(&mut out, &mut hash, &Line::End { platforms: names.len() as u64, digest }).unwrap();
        out
    }

    fn left(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(folder.path()).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_restore_that_fails_in_the_middle_leaves_everything_as_it_was() {
        let (folder, to) = filled(&["hall", "other"]);
        // The last of them cannot be written.
        assert!(import(&to, &mut lines(&["hall", "shop", "z/z"]).as_slice(), &mut |_| {}, None).is_err());
        assert_eq!(to.names().unwrap().into_iter().collect::<Vec<_>>(), ["hall", "other"]);
        assert_eq!(left(&folder), ["admitted"]);
        to.refuse_if_unfinished().unwrap();
        // The control: the same without that one.
        import(&to, &mut lines(&["hall", "shop"]).as_slice(), &mut |_| {}, None).unwrap();
        assert_eq!(to.names().unwrap().into_iter().collect::<Vec<_>>(), ["hall", "shop"]);
        assert_eq!(left(&folder), ["admitted"]);
        // Where nothing was, nothing is left.
        let (folder, to) = filled(&[]);
        assert!(import(&to, &mut lines(&["hall", "z/z"]).as_slice(), &mut |_| {}, None).is_err());
        assert!(left(&folder).is_empty());
    }

    #[test]
    fn one_that_ends_in_the_middle_is_told_until_it_is_repeated() {
        let (folder, to) = filled(&["hall", "other"]);
        let ends = |written: u64| assert!(written < 2, "the process ends here");
        let ended = std::panic::AssertUnwindSafe(|| {
            import(&to, &mut lines(&["hall", "shop", "x"]).as_slice(), &mut { ends }, None).map(drop)
        });
        assert!(std::panic::catch_unwind(ended).is_err());
        assert_eq!(to.names().unwrap().into_iter().collect::<Vec<_>>(), ["hall", "other"]);
        assert!(to.refuse_if_unfinished().unwrap_err().to_string().contains("repeat `hufu restore"));
        assert!(export(&to, &mut Vec::new(), &mut |_| {}).is_err(), "nor is it backed up");
        import(&to, &mut lines(&["shop"]).as_slice(), &mut |_| {}, None).unwrap();
        assert_eq!(to.names().unwrap().into_iter().collect::<Vec<_>>(), ["shop"]);
        assert_eq!(left(&folder), ["admitted"]);
        to.refuse_if_unfinished().unwrap();
    }
}

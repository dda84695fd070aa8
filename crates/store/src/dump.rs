//! All rows of one store as lines of JSON, as they stood at one moment: what backups are made of. No line names the engine, so
//! what one engine wrote another reads.

use crate::{Catalogue, Identity, Kind, RawRow, StoreError, Version, values};
use hufu_kernel::{Bytes, Key, Record, Timestamp, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, ErrorKind, Write};

/// One line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Line {
    /// Comes first: whose rows follow.
    Store {
        /// As [`Identity::header`].
        header: BTreeMap<String, String>,
    },
    /// A kind and the migrations its rows may have; before its rows.
    Kind { name: String, migrations: String },
    /// A row.
    Row { key: Bytes, id: Bytes, version: i64, expires: Option<i64>, form: i64, body: String },
    /// A commit that is remembered.
    Commit { id: Bytes, fingerprint: Bytes, expires: i64 },
    /// Comes last. The digest is of all lines before.
    End { rows: BTreeMap<String, u64>, commits: u64, digest: String },
}

/// What was written or read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dumped {
    /// Rows, by kind.
    pub rows: BTreeMap<String, u64>,
    /// Commits that are remembered, so that repeating one is recognised.
    pub commits: u64,
    /// SHA-256 over all lines.
    pub digest: String,
}

/// A row that is there after an import whatever the dump says of it, in the same transaction as all others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imposed {
    kind: &'static str,
    key: Key,
    body: String,
}

impl Imposed {
    /// This record, in place of what the dump has under its key.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] for one without a JSON form.
    pub fn of<R: Record>(record: &R) -> Result<Self, StoreError> {
        let body = serde_json::to_string(record)
            .map_err(|error| StoreError::misuse(format!("{} has no JSON form: {error}", R::KIND)))?;
        Ok(Self { kind: R::KIND, key: record.key(), body })
    }
}

/// What an import goes by beside the rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// Rows that are there afterwards whatever the dump says.
    pub imposed: &'a [Imposed],
    /// The digest of the one dump that may be put back, where it was noted. It is compared with what was read while it was imported:
    /// whoever can write to the place where the dump lies may give another one at each reading.
    pub digest: Option<&'a str>,
}

/// The longest line of a dump: a row is far from it.
const LONGEST: u64 = 8 << 20;

/// What every line has, and the last one more.
#[derive(Deserialize)]
struct Tail {
    line: String,
    digest: Option<String>,
}

/// The digest of a dump, read to its end and compared with what it says of itself.
///
/// # Errors
/// [`StoreError`] for what is no dump, or not whole.
pub fn digest(input: &mut dyn BufRead) -> Result<String, StoreError> {
    let mut hash = Sha256::new();
    loop {
        let text = next_line(input)?;
        let line: Tail =
            serde_json::from_slice(&text).map_err(|_| StoreError::corrupt("a line of the rows does not parse"))?;
        if line.line == "end" {
            let found = hex(&hash.finalize());
            let same = line.digest.as_ref() == Some(&found);
            return same
                .then_some(found)
                .ok_or_else(|| StoreError::corrupt("the rows are not those that were written"));
        }
        hash.update(&text);
        hash.update(b"\n");
    }
}

/// A line without its end.
fn next_line(input: &mut dyn BufRead) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    std::io::Read::take(input, LONGEST).read_until(b'\n', &mut text).map_err(failed)?;
    match text.pop() {
        Some(b'\n') => Ok(text),
        _ => Err(StoreError::corrupt("the rows end too early, or a line of them is longer than any row")),
    }
}

/// Called now and then with the number of rows so far.
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// Rows between two calls of [`Progress`].
const STRIDE: u64 = 1_000;

fn failed(error: std::io::Error) -> StoreError {
    match error.kind() {
        // What a decrypting reader says of bytes that were cut off or changed.
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            StoreError::corrupt("the rows are cut off or were changed")
        }
        _ => StoreError::unavailable(error),
    }
}

/// Writes lines.
pub(crate) struct Writer<'a> {
    out: &'a mut dyn Write,
    progress: Progress<'a>,
    hash: Sha256,
    kind: String,
    done: Dumped,
    total: u64,
}

impl<'a> Writer<'a> {
    pub fn new(
        out: &'a mut dyn Write,
        progress: Progress<'a>,
        header: BTreeMap<String, String>,
    ) -> Result<Self, StoreError> {
        let (hash, done) = (Sha256::new(), Dumped::default());
        let mut writer = Self { out, progress, hash, kind: String::new(), done, total: 0 };
        writer.line(&Line::Store { header })?;
        Ok(writer)
    }

    fn line(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut text = serde_json::to_vec(line).map_err(StoreError::corrupt)?;
        text.push(b'\n');
        self.hash.update(&text);
        self.out.write_all(&text).map_err(failed)
    }

    pub fn kind(&mut self, name: &str, migrations: &str) -> Result<(), StoreError> {
        name.clone_into(&mut self.kind);
        self.done.rows.insert(name.to_owned(), 0);
        self.line(&Line::Kind { name: name.to_owned(), migrations: migrations.to_owned() })
    }

    pub fn row(&mut self, row: RawRow) -> Result<(), StoreError> {
        *self.done.rows.entry(self.kind.clone()).or_default() += 1;
        self.total += 1;
        if self.total.is_multiple_of(STRIDE) {
            (self.progress)(self.total);
        }
        let RawRow { key, version, expires, form, body } = row;
        let (key, id, expires) = (Bytes(key.partition), Bytes(key.id), expires.map(|at| at.0));
        self.line(&Line::Row { key, id, version: version.0, expires, form, body })
    }

    pub fn commit(&mut self, id: Vec<u8>, fingerprint: Vec<u8>, expires: i64) -> Result<(), StoreError> {
        self.done.commits += 1;
        self.line(&Line::Commit { id: Bytes(id), fingerprint: Bytes(fingerprint), expires })
    }

    pub fn end(mut self) -> Result<Dumped, StoreError> {
        self.done.digest = hex(&self.hash.clone().finalize());
        let Dumped { rows, commits, digest } = self.done.clone();
        self.line(&Line::End { rows, commits, digest })?;
        (self.progress)(self.total);
        Ok(self.done)
    }
}

/// A row as it is to be written into a new store.
pub(crate) struct Incoming {
    pub kind: Kind,
    pub row: RawRow,
    /// As [`values::encode`] writes them.
    pub values: Vec<u8>,
}

/// What a line asks of an engine.
pub(crate) enum Item {
    Row(Box<Incoming>),
    Commit { id: Vec<u8>, fingerprint: Vec<u8>, expires: i64 },
}

/// Reads lines, and refuses a dump of another store, of a newer program, or one that is not whole.
pub(crate) struct Reader<'a> {
    input: &'a mut dyn BufRead,
    progress: Progress<'a>,
    catalogue: &'a Catalogue,
    hash: Sha256,
    kind: Option<Kind>,
    done: Dumped,
    total: u64,
    /// Those that the dump has not had yet.
    imposed: Vec<Imposed>,
    noted: Option<&'a str>,
    ended: bool,
}

impl<'a> Reader<'a> {
    pub fn new(
        input: &'a mut dyn BufRead,
        progress: Progress<'a>,
        catalogue: &'a Catalogue,
        terms: Terms<'a>,
    ) -> Result<Self, StoreError> {
        let (hash, done, imposed, noted) = (Sha256::new(), Dumped::default(), terms.imposed.to_vec(), terms.digest);
        let (kind, total, ended) = (None, 0, false);
        let mut reader = Self { input, progress, catalogue, hash, kind, done, total, imposed, noted, ended };
        match reader.line()? {
            (_, Line::Store { header }) => catalogue.identity.check_header(|name| header.get(name).cloned())?,
            _ => return Err(StoreError::corrupt("this does not begin as rows of a store do")),
        }
        Ok(reader)
    }

    /// A line, and the digest of all before it.
    fn line(&mut self) -> Result<(String, Line), StoreError> {
        let text = next_line(&mut self.input)?;
        let before = hex(&self.hash.clone().finalize());
        self.hash.update(&text);
        self.hash.update(b"\n");
        // The parser's message may quote the line, so it is not passed on.
        let line =
            serde_json::from_slice(&text).map_err(|_| StoreError::corrupt("a line of the rows does not parse"))?;
        Ok((before, line))
    }

    /// The next thing to write; nothing at the end, which was then as it should be.
    pub fn next(&mut self) -> Result<Option<Item>, StoreError> {
        while !self.ended {
            let (before, line) = self.line()?;
            match line {
                Line::Store { .. } => return Err(StoreError::corrupt("two stores in one")),
                Line::Kind { name, migrations } => {
                    let kind = *self.catalogue.kind(&name)?;
                    kind.check_taken(&migrations)?;
                    self.kind = Some(kind);
                    self.done.rows.insert(name, 0);
                }
                Line::Row { key, id, version, expires, form, body } => {
                    let kind = self.kind.ok_or_else(|| StoreError::corrupt("a row before its kind"))?;
                    let (key, version) = (Key { partition: key.0, id: id.0 }, Version(version));
                    let row = RawRow { key, version, expires: expires.map(Timestamp), form, body };
                    return self.row(kind, row).map(Some);
                }
                Line::Commit { id, fingerprint, expires } => {
                    self.done.commits += 1;
                    return Ok(Some(Item::Commit { id: id.0, fingerprint: fingerprint.0, expires }));
                }
                Line::End { rows, commits, digest } => {
                    self.done.digest = before;
                    self.end(&Dumped { rows, commits, digest })?;
                }
            }
        }
        self.imposed.pop().map(|row| self.imposed(row)).transpose()
    }

    /// All lines were read: they are those that were written, and nothing follows.
    fn end(&mut self, written: &Dumped) -> Result<(), StoreError> {
        if self.done != *written {
            return Err(StoreError::corrupt("the rows are not those that were written"));
        }
        if self.noted.is_some_and(|noted| noted != self.done.digest) {
            return Err(StoreError::misuse("these are not the rows of the digest that was noted; nothing was changed"));
        }
        if !self.input.fill_buf().map_err(failed)?.is_empty() {
            return Err(StoreError::corrupt("something follows the last row"));
        }
        (self.progress)(self.total);
        self.ended = true;
        Ok(())
    }

    /// A row that the dump does not have.
    fn imposed(&self, row: Imposed) -> Result<Item, StoreError> {
        let kind = *self.catalogue.kind(row.kind)?;
        // The version names what wrote the row, and that is this import of this dump.
        let name = Sha256::digest(self.done.digest.as_bytes());
        let version = Version(i64::from_be_bytes(name[..8].try_into().unwrap_or_default()));
        incoming(kind, RawRow { key: row.key, version, expires: None, form: kind.form(), body: row.body })
    }

    fn row(&mut self, kind: Kind, row: RawRow) -> Result<Item, StoreError> {
        *self.done.rows.entry(kind.name.to_owned()).or_default() += 1;
        self.total += 1;
        if self.total.is_multiple_of(STRIDE) {
            (self.progress)(self.total);
        }
        let at = self.imposed.iter().position(|imposed| imposed.kind == kind.name && imposed.key == row.key);
        match at.map(|at| self.imposed.swap_remove(at)) {
            Some(Imposed { body, .. }) => incoming(kind, RawRow { form: kind.form(), body, ..row }),
            None => incoming(kind, row),
        }
    }

    pub fn done(self) -> Dumped {
        self.done
    }
}

fn incoming(kind: Kind, row: RawRow) -> Result<Item, StoreError> {
    let settled = kind.settle(&row)?;
    values::decode(&settled.values)?;
    let row = RawRow { expires: settled.expires, form: kind.form(), body: settled.body, ..row };
    Ok(Item::Row(Box::new(Incoming { kind, row, values: settled.values })))
}

/// A store's header as a dump has it.
pub(crate) fn header(identity: &Identity) -> BTreeMap<String, String> {
    identity.header().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

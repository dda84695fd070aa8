//! How a kind's rows come from an older form to today's. Forward only: a store remembers the digest of every step taken.
//!
//! Every row says under which *form* it was written: how many of its kind's [`Migration`]s were known then. A row of an older
//! form is understood at once, since its body is changed while it is read; it is written in today's form when it is next put,
//! or by a sweep, or at opening, when an index was added in which it has to stand. What rows say is not changed by that, so their
//! versions stay.
//!
//! Expand, then contract: an index that is no longer declared keeps its table until [`crate::Place::contract`]; until then only
//! what leaves it is written.

use crate::{Kind, RawRow, Shape, StoreError, values};
use hufu_kernel::{Index, Migration, Timestamp, hex};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The row of `store__meta` that counts how often the schema has changed. Whoever opened the store before writes nothing more
/// to it and goes by nothing that it says ([`StoreError::Overtaken`]): an older program does not know the new indexes, and rows that
/// were put back from a backup are not to be used before the office has begun anew.
pub(crate) const GENERATION: &str = "generation";

/// What a store remembers of a kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Recorded {
    /// The indexes that have a table: `number!` unique, `status` not; sorted, between spaces.
    pub indexes: String,
    /// The digests of the steps taken, in order, between spaces.
    pub migrations: String,
    /// No row has an older form than this one.
    pub settled: i64,
}

/// What has to be done with a kind at opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Opening {
    /// What the store is to remember; `None` if that stays.
    pub remember: Option<Recorded>,
    /// Indexes whose tables are to be made.
    pub make: Vec<Index>,
    /// Indexes that have a table and are no longer declared.
    pub retired: Vec<&'static str>,
    /// Rows must be settled before the store is open: they have to stand in an index that was added since.
    pub settle_now: bool,
    /// Rows may have an older form.
    pub unsettled: bool,
}

/// A row in today's form.
pub(crate) struct Settled {
    pub body: String,
    pub expires: Option<Timestamp>,
    /// As [`values::encode`] writes them.
    pub values: Vec<u8>,
}

/// Steps and indexes that contradict each other.
pub(crate) fn check(kind: &Kind) -> Result<(), StoreError> {
    let declared = |name: &str| kind.indexes.iter().any(|index| index.name == name);
    let mut seen: Vec<&str> = Vec::new();
    for (at, step) in kind.migrations.iter().enumerate() {
        let dropped =
            |name: &str| kind.migrations[at..].iter().any(|step| matches!(step, Migration::DropIndex(n) if *n == name));
        let fault = match step {
            Migration::AddIndex(name) if seen.contains(name) => "adds an index a second time",
            Migration::AddIndex(name) if !declared(name) && !dropped(name) => "adds an index that is not declared",
            Migration::DropIndex(name) if declared(name) => "drops an index that is declared",
            Migration::AddIndex(name) | Migration::DropIndex(name) => {
                seen.push(name);
                continue;
            }
            Migration::Body { .. } => continue,
        };
        return Err(StoreError::misuse(format!("migration {} of {} {fault}", at + 1, kind.name)));
    }
    Ok(())
}

/// Names a step by what it says; spaces and line breaks do not count, since the formatter sets them.
fn digest(step: &Migration) -> String {
    let text = match step {
        Migration::AddIndex(name) => format!("add {name}"),
        Migration::DropIndex(name) => format!("drop {name}"),
        Migration::Body { source, .. } => format!("body {}", source.split_whitespace().collect::<String>()),
    };
    hex(&Sha256::digest(text.as_bytes())[..16])
}

fn name(index: &Index) -> String {
    format!("{}{}", index.name, if index.unique { "!" } else { "" })
}

fn joined(mut names: Vec<String>) -> String {
    names.sort();
    names.join(" ")
}

impl Kind {
    /// The form in which rows are written now.
    pub(crate) fn form(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }

    /// What a new store remembers of it, and a contracted one.
    pub(crate) fn recorded(&self) -> Recorded {
        Recorded {
            indexes: joined(self.indexes.iter().map(name).collect()),
            migrations: self.migrations.iter().map(digest).collect::<Vec<_>>().join(" "),
            settled: self.form(),
        }
    }

    /// What to do with a kind that the store knows already.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] if the store is newer than this program, or indexes changed without a step that says so;
    /// [`StoreError::Corrupt`] for another step than the one taken.
    pub(crate) fn open(&self, found: &Recorded) -> Result<Opening, StoreError> {
        let wanted = self.recorded();
        let taken = steps(&found.migrations, &wanted.migrations, self)?;
        let mut tables: Vec<String> = found.indexes.split_whitespace().map(str::to_owned).collect();
        let mut make = Vec::new();
        for step in &self.migrations[taken..] {
            if let Migration::AddIndex(added) = step
                && let Some(index) = self.indexes.iter().find(|index| index.name == *added)
            {
                tables.push(name(index));
                make.push(*index);
            }
        }
        let declared: Vec<String> = self.indexes.iter().map(name).collect();
        let missing = declared.iter().any(|index| !tables.contains(index));
        let mut retired = Vec::new();
        for index in tables.iter().filter(|index| !declared.contains(index)) {
            let bare = index.trim_end_matches('!');
            let dropped = self.migrations.iter().find_map(|step| match step {
                Migration::DropIndex(name) if *name == bare => Some(*name),
                _ => None,
            });
            retired.push(dropped.ok_or_else(|| self.changed(&found.indexes))?);
        }
        if missing {
            return Err(self.changed(&found.indexes));
        }
        let settled = usize::try_from(found.settled).unwrap_or(0).min(self.migrations.len());
        let settle_now = self.migrations[settled..].iter().any(|step| matches!(step, Migration::AddIndex(_)));
        let now = Recorded { indexes: joined(tables), migrations: wanted.migrations, settled: found.settled };
        let remember = Some(now).filter(|now| now != found);
        Ok(Opening { remember, make, retired, settle_now, unsettled: found.settled < self.form() })
    }

    /// Rows written under other indexes would be missing from the new ones.
    fn changed(&self, found: &str) -> StoreError {
        let declared = self.recorded().indexes;
        let name = self.name;
        StoreError::misuse(format!(
            "{name} was made with indexes [{found}], not [{declared}], and no migration of it says what changed"
        ))
    }

    /// Whether rows that were written under these steps are understood.
    ///
    /// # Errors
    /// As [`Kind::open`].
    pub(crate) fn check_taken(&self, migrations: &str) -> Result<(), StoreError> {
        steps(migrations, &self.recorded().migrations, self).map(drop)
    }

    /// A row's body in today's form.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] for a row of a newer program; [`StoreError::Corrupt`].
    pub(crate) fn body<'a>(&self, form: i64, body: &'a str) -> Result<std::borrow::Cow<'a, str>, StoreError> {
        body_of(self.name, self.migrations, form, body)
    }

    /// A row as it is to be written in today's form.
    ///
    /// # Errors
    /// As [`Kind::body`].
    pub(crate) fn settle(&self, row: &RawRow) -> Result<Settled, StoreError> {
        let body = self.body(row.form, &row.body)?;
        let Shape { expires, values } = (self.shape)(&row.key, &body)?;
        if let Some((index, _)) = values.iter().find(|(name, _)| !self.indexes.iter().any(|index| index.name == *name))
        {
            return Err(StoreError::misuse(format!("{}.{index} is not a declared index", self.name)));
        }
        Ok(Settled { body: body.into_owned(), expires, values: values::encode(&values) })
    }

    /// Two rows that a new unique index does not let stand side by side.
    pub(crate) fn clash(&self, index: &str) -> StoreError {
        StoreError::corrupt(format!("two rows of {} hold one value of the unique index {index}", self.name))
    }

    /// The same, where rows are put that were in a store already.
    pub(crate) fn clashed(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Duplicate(index) => self.clash(index),
            other => other,
        }
    }
}

/// How many steps the store has taken.
fn steps(found: &str, wanted: &str, kind: &Kind) -> Result<usize, StoreError> {
    let (found, wanted): (Vec<_>, Vec<_>) = (found.split_whitespace().collect(), wanted.split_whitespace().collect());
    if found.len() > wanted.len() {
        return Err(newer(kind.name, found.len()));
    }
    match found.iter().zip(&wanted).position(|(found, wanted)| found != wanted) {
        None => Ok(found.len()),
        Some(at) => Err(StoreError::corrupt(format!("migration {} of {} is not the one applied", at + 1, kind.name))),
    }
}

fn newer(kind: &str, form: impl std::fmt::Display) -> StoreError {
    StoreError::misuse(format!("{kind} has schema {form}, newer than this program's; use the program that wrote it"))
}

/// A body that was written under the first `form` of `migrations`, after all of them.
pub(crate) fn body_of<'a>(
    kind: &str,
    migrations: &[Migration],
    form: i64,
    body: &'a str,
) -> Result<std::borrow::Cow<'a, str>, StoreError> {
    let later = usize::try_from(form).ok().and_then(|form| migrations.get(form..)).ok_or_else(|| newer(kind, form))?;
    let mut changes = later.iter().filter_map(|step| match step {
        Migration::Body { change, .. } => Some(change),
        Migration::AddIndex(_) | Migration::DropIndex(_) => None,
    });
    let Some(first) = changes.next() else { return Ok(body.into()) };
    let value: Value = serde_json::from_str(body)
        .map_err(|error| StoreError::corrupt(format!("a {kind} is no JSON at column {}", error.column())))?;
    let value = changes.fold(first(value), |value, change| change(value));
    Ok(value.to_string().into())
}

//! The civil register, simulated as the HTTP server it would be: the registrar asks whether a document, a name and
//! optionally a birth date belong together, and learns the document's standing only if they do.

use crate::persons::{Person, Status};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use hufu_wire::documents::{DocumentNumber, DocumentType};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use unicode_normalization::UnicodeNormalization;

/// The longest a slow register takes.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// The longest request body.
const MAX_BODY: usize = 16 * 1024;

/// The register's entries and its present mode. Cheap to clone; clones share the mode.
#[derive(Clone)]
pub struct Register(Arc<Shared>);

struct Shared {
    entries: HashMap<DocumentNumber, Entry>,
    mode: Mutex<Mode>,
}

struct Entry {
    name: String,
    birth: Date,
    status: Status,
    person: String,
}

/// How the register behaves; set by `POST /sandbox/mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mode {
    /// Answers at once.
    #[default]
    Normal,
    /// Answers after a delay, 30 seconds at most.
    Slow {
        /// The delay.
        milliseconds: u64,
    },
    /// Answers 503 to every question.
    Outage,
}

/// The question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchRequest {
    /// One of the seven types.
    pub document_type: DocumentType,
    /// The number as typed or read.
    pub number: String,
    /// The name as on the document; see [`comparable_name`].
    pub name: String,
    /// Compared too, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<Date>,
}

/// The answer. Everything but `match` is absent unless all that was asked matches: a wrong name, an unknown number and
/// a number that is no number look the same.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MatchAnswer {
    /// Whether number, name and birth date belong together.
    #[serde(rename = "match")]
    pub matches: bool,
    /// The document's standing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The person's birth date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<Date>,
    /// The register's own opaque name of the person, the same for all documents of one person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
}

impl Register {
    /// A register of these persons.
    #[must_use]
    pub fn new(persons: &[Person]) -> Self {
        let entries = persons.iter().flat_map(|person| {
            let digest = Sha256::digest(format!("sandbox register\0{}", person.id));
            let opaque = hufu_kernel::hex(&digest[..16]);
            person.documents.iter().map(move |document| {
                let entry = Entry {
                    name: comparable_name(&person.name),
                    birth: person.birth,
                    status: document.status,
                    person: opaque.clone(),
                };
                (document.number.clone(), entry)
            })
        });
        Self(Arc::new(Shared { entries: entries.collect(), mode: Mutex::default() }))
    }

    /// Changes the mode, as `POST /sandbox/mode` does.
    pub fn set_mode(&self, mode: Mode) {
        *self.0.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        *self.0.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a question, whatever the mode.
    #[must_use]
    pub fn answer(&self, request: &MatchRequest) -> MatchAnswer {
        let number = DocumentNumber::parse(request.document_type, &request.number);
        let entry = number.ok().and_then(|number| self.0.entries.get(&number)).filter(|entry| {
            entry.name == comparable_name(&request.name) && request.birth.is_none_or(|birth| birth == entry.birth)
        });
        entry.map_or_else(MatchAnswer::default, |entry| MatchAnswer {
            matches: true,
            status: Some(entry.status),
            birth_date: Some(entry.birth),
            person: Some(entry.person.clone()),
        })
    }
}

/// A name as it is compared: Unicode NFC; the middle dots that keyboards and registers mix up (U+00B7, U+2022, U+2027,
/// U+30FB, U+FF65) as U+00B7; the typographic apostrophe U+2019 as U+0027; no space at either end. Nothing else: a
/// similar name is another name.
#[must_use]
pub fn comparable_name(name: &str) -> String {
    let same = |c| match c {
        '\u{2022}' | '\u{2027}' | '\u{30fb}' | '\u{ff65}' => '\u{b7}',
        '\u{2019}' => '\'',
        other => other,
    };
    name.trim().nfc().map(same).collect()
}

/// The server: `POST /match` and, for tests and the demo, `POST /sandbox/mode`.
pub fn router(register: Register) -> Router {
    Router::new()
        .route("/match", post(answer))
        .route("/sandbox/mode", post(set_mode))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(register)
}

async fn answer(
    State(register): State<Register>,
    Json(request): Json<MatchRequest>,
) -> Result<Json<MatchAnswer>, StatusCode> {
    match register.mode() {
        Mode::Normal => {}
        Mode::Slow { milliseconds } => tokio::time::sleep(Duration::from_millis(milliseconds).min(MAX_DELAY)).await,
        Mode::Outage => return Err(StatusCode::SERVICE_UNAVAILABLE),
    }
    Ok(Json(register.answer(&request)))
}

async fn set_mode(State(register): State<Register>, Json(mode): Json<Mode>) -> Json<Mode> {
    register.set_mode(mode);
    Json(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persons::persons;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn world() -> (Vec<Person>, Register) {
        let persons = persons(1, date(2026, 11, 22)).unwrap();
        let register = Register::new(&persons);
        (persons, register)
    }

    fn question(person: &Person) -> MatchRequest {
        let number = &person.documents[0].number;
        MatchRequest {
            document_type: number.kind(),
            number: number.expose().to_owned(),
            name: person.name.clone(),
            birth: None,
        }
    }

    #[test]
    fn every_person_matches_by_number_and_exact_name() {
        let (persons, register) = world();
        for person in &persons {
            let answer = register.answer(&question(person));
            assert_eq!(answer.status, Some(person.documents[0].status), "{}", person.id);
            assert_eq!(answer.birth_date, Some(person.birth));
        }
    }

    #[test]
    fn a_similar_name_a_former_name_or_another_birth_date_matches_nobody() {
        let (persons, register) = world();
        let named = |id: &str| persons.iter().find(|person| person.id == id).unwrap();
        for (id, name) in [
            ("lin-xiaoyu", "林小宇"),
            ("lin-xiaoyu", "林小雨 "),
            ("zhao-min", "赵招娣"),
            ("guli-aishan", "古丽艾山"),
            ("guli-aishan", "古丽.艾山"),
            ("anna-kowalska", "Kowalska Anna Maria"),
            ("obrien-li", "OBrien-李"),
        ] {
            let request = MatchRequest { name: name.to_owned(), ..question(named(id)) };
            let expected = name.trim() == named(id).name;
            assert_eq!(register.answer(&request).matches, expected, "{name}");
        }
        let request = MatchRequest { birth: Some(date(2000, 1, 1)), ..question(named("chen-yi")) };
        assert_eq!(register.answer(&request), MatchAnswer::default());
    }

    #[test]
    fn the_dots_and_apostrophes_of_different_keyboards_are_one_name() {
        let (persons, register) = world();
        for (id, from, to) in [
            ("guli-aishan", "·", "\u{2022}"),
            ("guli-aishan", "·", "\u{30fb}"),
            ("guli-aishan", "·", "\u{387}"),
            ("obrien-li", "'", "\u{2019}"),
        ] {
            let person = persons.iter().find(|person| person.id == id).unwrap();
            let request = MatchRequest { name: person.name.replace(from, to), ..question(person) };
            assert!(register.answer(&request).matches, "{id} {to}");
        }
    }

    #[test]
    fn whoever_has_two_documents_is_one_person() {
        let (persons, register) = world();
        let person = persons.iter().find(|person| person.documents.len() == 2).unwrap();
        let answers: Vec<_> = person
            .documents
            .iter()
            .map(|document| MatchRequest {
                document_type: document.number.kind(),
                number: document.number.expose().to_owned(),
                ..question(person)
            })
            .map(|request| register.answer(&request).person.unwrap())
            .collect();
        assert_eq!(answers[0], answers[1]);
        assert!(!answers[0].contains(&person.id));
    }

    #[test]
    fn a_refusal_says_nothing_about_what_exists() {
        let (persons, register) = world();
        let wrong_name = MatchRequest { name: "甲".into(), ..question(&persons[0]) };
        let unknown = MatchRequest { number: "990131200001010014".into(), ..question(&persons[0]) };
        let nonsense = MatchRequest { number: "x".into(), ..question(&persons[0]) };
        for request in [wrong_name, unknown, nonsense] {
            assert_eq!(serde_json::to_string(&register.answer(&request)).unwrap(), r#"{"match":false}"#);
        }
    }

    proptest! {
        #[test]
        fn comparing_is_idempotent_and_never_confuses_two_persons(name in "\\PC{0,20}") {
            let once = comparable_name(&name);
            prop_assert_eq!(comparable_name(&once), once);
        }
    }
}

//! 81 invented platforms, 10 of public services and 71 commercial, as in the pilot (domain.md 2.5). The table is
//! `data/platforms.toml`; what a platform may ask follows from its category.

use hufu_kernel::Answer;
use hufu_wire::api::platform::{Bilingual, Purpose};
use hufu_wire::subject_handle::HandleUse;
use serde::{Deserialize, Serialize};

const PLATFORMS: &str = include_str!("../data/platforms.toml");

/// Who runs a platform.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A public service.
    Public,
    /// A firm.
    Commercial,
}

/// A platform that the sandbox's registry admits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Platform {
    /// The OAuth client identifier: lower-case letters, digits and hyphens.
    pub client_id: String,
    /// The pseudonym's boundary (flows 1): `https://<client_id>.example`, a host of RFC 2606 that cannot exist.
    pub sector_id: String,
    /// The name people see.
    pub name: Bilingual,
    /// Who runs it.
    pub kind: Kind,
    /// The category's id.
    pub category: String,
    /// The category's name.
    pub category_name: Bilingual,
    /// All answers of its purposes, in the order of [`Answer::ALL`].
    pub entitled: Vec<Answer>,
    /// Why it may ask; the first is the default.
    pub purposes: Vec<Purpose>,
    /// What it may do later with a subject handle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_handle: Vec<HandleUse>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    category: Vec<Category>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Category {
    id: String,
    kind: Kind,
    name: Bilingual,
    purposes: Vec<Purpose>,
    platforms: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    client_id: String,
    name: Bilingual,
    #[serde(default)]
    subject_handle: Vec<HandleUse>,
}

/// All 81.
///
/// # Errors
/// The TOML error, if the committed table does not parse; a test sees to it that it does.
pub fn platforms() -> Result<Vec<Platform>, toml::de::Error> {
    let file: File = toml::from_str(PLATFORMS)?;
    Ok(file.category.into_iter().flat_map(of_category).collect())
}

fn of_category(category: Category) -> Vec<Platform> {
    let Category { id, kind, name, purposes, platforms } = category;
    let asked = |answer: &Answer| purposes.iter().any(|purpose| purpose.answers.contains(answer));
    let entitled: Vec<Answer> = Answer::ALL.iter().copied().filter(asked).collect();
    platforms
        .into_iter()
        .map(|entry| Platform {
            sector_id: format!("https://{}.example", entry.client_id),
            client_id: entry.client_id,
            name: entry.name,
            subject_handle: entry.subject_handle,
            kind,
            category: id.clone(),
            category_name: name.clone(),
            entitled: entitled.clone(),
            purposes: purposes.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_ten_public_and_seventy_one_commercial_platforms_with_names_of_their_own() {
        let all = platforms().unwrap();
        let public = all.iter().filter(|platform| platform.kind == Kind::Public).count();
        assert_eq!((public, all.len() - public), (10, 71));
        for text in [
            all.iter().map(|p| p.client_id.clone()).collect::<BTreeSet<_>>(),
            all.iter().map(|p| p.name.zh.clone()).collect(),
            all.iter().map(|p| p.name.en.clone()).collect(),
        ] {
            assert_eq!(text.len(), all.len());
        }
    }

    #[test]
    fn every_platform_has_a_plain_client_id_a_purpose_and_answers() {
        for platform in platforms().unwrap() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(platform.client_id.chars().all(plain), "{}", platform.client_id);
            assert!(!platform.entitled.is_empty() && !platform.purposes.is_empty());
            for purpose in &platform.purposes {
                assert!(!purpose.answers.is_empty() && !purpose.text.zh.is_empty() && !purpose.text.en.is_empty());
                assert!(purpose.answers.iter().all(|answer| platform.entitled.contains(answer)));
            }
        }
    }

    #[test]
    fn every_answer_is_asked_for_by_somebody_and_none_asks_for_all() {
        let all = platforms().unwrap();
        for answer in Answer::ALL {
            assert!(all.iter().any(|platform| platform.entitled.contains(answer)), "{}", answer.as_str());
        }
        assert!(all.iter().all(|platform| platform.entitled.len() < Answer::ALL.len()));
    }
}

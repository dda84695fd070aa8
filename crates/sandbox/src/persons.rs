//! Synthetic persons: 16 named personas and others, 200 in all, drawn from a seed. Nobody exists.
//!
//! Birthdays are relative to `today`, so that a person on the edge of 14 or 18 stays there whenever the sandbox is made.

use hufu_kernel::{Rng, SeededRng};
use hufu_wire::api::platform::Bilingual;
use hufu_wire::documents::{DocumentNumber, DocumentType, Sex};
use hufu_wire::phone::Phone;
use jiff::Span;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

const PERSONAS: &str = include_str!("../data/personas.toml");

/// How many persons a sandbox has.
pub const COUNT: usize = 200;

/// What a register says about a document. The civil register of the sandbox answers with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In force.
    #[default]
    Valid,
    /// Its validity has ended.
    Expired,
    /// Its holder is reported dead.
    Deceased,
}

/// A person's document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Document {
    /// Type and number, in the sandbox's range.
    pub number: DocumentNumber,
    /// What the register says.
    pub status: Status,
}

/// A synthetic person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Person {
    /// Stable: `lin-xiaoyu` for a persona, `p042` for the others.
    pub id: String,
    /// As on every document.
    pub name: String,
    /// In Latin letters, for English pages.
    pub latin: String,
    /// Date of birth.
    pub birth: Date,
    /// As coded in the number.
    pub sex: Sex,
    /// At least one.
    pub documents: Vec<Document>,
    /// A number of the sandbox's range; the phone simulator has its inbox.
    pub phone: Phone,
    /// The id of the guardian, for a person under 18 who has one here.
    pub guardian: Option<String>,
    /// For the 16 personas.
    pub persona: Option<Persona>,
}

/// What makes a persona worth trying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Persona {
    /// What is special.
    pub situation: Situation,
    /// A name that is no longer valid.
    pub former_name: Option<String>,
    /// Who this is.
    pub story: Bilingual,
    /// What to try, and what should happen.
    pub try_this: Bilingual,
}

/// What is special about a persona.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// Nothing that a program must know.
    Ordinary,
    /// Pages open in the large-text mode.
    LargeText,
    /// Guardian of two minors, under a new name.
    GuardianAndNameChanged,
    /// Under 14.
    Child,
    /// 14 to 17.
    Teen,
    /// The register says expired.
    DocumentExpired,
    /// The holder wants to stop all use.
    Lock,
    /// The register says deceased.
    Deceased,
    /// The only device is gone.
    DeviceLost,
    /// Somebody at one office wants to know where this person signs in.
    CuriousStaff,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonaFile {
    persona: Vec<PersonaEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonaEntry {
    id: String,
    name: String,
    latin: String,
    sex: Sex,
    age: i16,
    days: i32,
    situation: Situation,
    former_name: Option<String>,
    guardian: Option<String>,
    documents: Vec<DocumentEntry>,
    story: Bilingual,
    try_this: Bilingual,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentEntry {
    #[serde(rename = "type")]
    kind: DocumentType,
    #[serde(default)]
    status: Status,
}

/// The 200 persons of a seed, personas first. The same seed and day give the same persons.
///
/// # Errors
/// The TOML error, if the committed persona file does not parse; a test sees to it that it does.
pub fn persons(seed: u64, today: Date) -> Result<Vec<Person>, toml::de::Error> {
    let file: PersonaFile = toml::from_str(PERSONAS)?;
    let mut out: Vec<Person> =
        file.persona.into_iter().zip(0_u16..).map(|(entry, sequence)| persona(entry, sequence, today)).collect();
    let rng = SeededRng::new(seed);
    let first = u16::try_from(out.len()).unwrap_or(u16::MAX);
    let last = u16::try_from(COUNT).unwrap_or(u16::MAX);
    out.extend((first..last).map(|sequence| passer_by(&rng, sequence, sequence - first, today)));
    Ok(out)
}

fn persona(entry: PersonaEntry, sequence: u16, today: Date) -> Person {
    let birth = born(today, entry.age, entry.days);
    let document = |document: DocumentEntry| Document {
        number: DocumentNumber::sandbox(document.kind, birth, entry.sex, sequence),
        status: document.status,
    };
    Person {
        id: entry.id,
        name: entry.name,
        latin: entry.latin,
        birth,
        sex: entry.sex,
        documents: entry.documents.into_iter().map(document).collect(),
        phone: Phone::sandbox(sequence.into()),
        guardian: entry.guardian,
        persona: Some(Persona {
            situation: entry.situation,
            former_name: entry.former_name,
            story: entry.story,
            try_this: entry.try_this,
        }),
    }
}

/// `years` before today, and `days` after that.
fn born(today: Date, years: i16, days: i32) -> Date {
    today.saturating_sub(Span::new().years(years)).saturating_add(Span::new().days(days))
}

/// Ages in years and days of the first passers-by: the day before, on and after each threshold of the rules.
const EDGES: [(i16, i32); 6] = [(14, 1), (14, 0), (14, -1), (18, 1), (18, 0), (18, -1)];

fn passer_by(rng: &dyn Rng, sequence: u16, position: u16, today: Date) -> Person {
    let sex = if pick(rng, 2) == 0 { Sex::Female } else { Sex::Male };
    let birth = match EDGES.get(usize::from(position)) {
        Some((years, days)) => born(today, *years, *days),
        // Nobody else is within a year of a threshold.
        None => {
            born(today, 20 + i16::try_from(pick(rng, 70)).unwrap_or(0), -i32::try_from(pick(rng, 365)).unwrap_or(0))
        }
    };
    let (name, latin) = name(rng, sex);
    let kind = kind(position);
    Person {
        id: format!("p{sequence:03}"),
        name,
        latin,
        birth,
        sex,
        documents: vec![Document {
            number: DocumentNumber::sandbox(kind, birth, sex, sequence),
            status: Status::Valid,
        }],
        phone: Phone::sandbox(sequence.into()),
        guardian: None,
        persona: None,
    }
}

/// One in ten has a document other than the identity card, each type in turn.
fn kind(position: u16) -> DocumentType {
    let position = usize::from(position);
    if position % 10 == 9 { DocumentType::ALL[1 + position / 10 % 6] } else { DocumentType::ResidentIdentityCard }
}

type Part = (&'static str, &'static str);

const FAMILY: [Part; 28] = [
    ("王", "Wang"),
    ("李", "Li"),
    ("张", "Zhang"),
    ("刘", "Liu"),
    ("陈", "Chen"),
    ("杨", "Yang"),
    ("黄", "Huang"),
    ("吴", "Wu"),
    ("徐", "Xu"),
    ("孙", "Sun"),
    ("胡", "Hu"),
    ("朱", "Zhu"),
    ("高", "Gao"),
    ("林", "Lin"),
    ("何", "He"),
    ("郭", "Guo"),
    ("罗", "Luo"),
    ("梁", "Liang"),
    ("宋", "Song"),
    ("郑", "Zheng"),
    ("谢", "Xie"),
    ("韩", "Han"),
    ("唐", "Tang"),
    ("冯", "Feng"),
    ("欧阳", "Ouyang"),
    ("司马", "Sima"),
    ("诸葛", "Zhuge"),
    ("上官", "Shangguan"),
];
const WOMEN: [Part; 12] = [
    ("雨桐", "Yutong"),
    ("秀兰", "Xiulan"),
    ("静", "Jing"),
    ("丽华", "Lihua"),
    ("梦洁", "Mengjie"),
    ("若曦", "Ruoxi"),
    ("淑珍", "Shuzhen"),
    ("芳", "Fang"),
    ("晓燕", "Xiaoyan"),
    ("思远", "Siyuan"),
    ("玉梅", "Yumei"),
    ("琪", "Qi"),
];
const MEN: [Part; 12] = [
    ("志强", "Zhiqiang"),
    ("浩然", "Haoran"),
    ("军", "Jun"),
    ("建华", "Jianhua"),
    ("子轩", "Zixuan"),
    ("伟", "Wei"),
    ("国栋", "Guodong"),
    ("一鸣", "Yiming"),
    ("德福", "Defu"),
    ("文博", "Wenbo"),
    ("𬱟", "Wei"),
    ("明远", "Mingyuan"),
];
/// Names in several parts, or longer than three characters, of minorities.
const WHOLE: [Part; 8] = [
    ("艾力·买买提", "Aili Maimaiti"),
    ("阿依古丽·吐尔逊", "Ayiguli Tuerxun"),
    ("叶尔兰·努尔兰别克", "Yeerlan Nuerlanbieke"),
    ("扎西多吉", "Zhaxi Duoji"),
    ("次仁央宗", "Ciren Yangzong"),
    ("斯琴高娃", "Siqin Gaowa"),
    ("阿鲁·木呷", "Alu Muga"),
    ("买买提·艾山·阿不都热合曼", "Maimaiti Aishan Abudurehaman"),
];

/// One in ten has a name that does not fit the two or three characters programmers expect.
fn name(rng: &dyn Rng, sex: Sex) -> (String, String) {
    if pick(rng, 10) == 0 {
        let (name, latin) = WHOLE[pick(rng, WHOLE.len())];
        return (name.to_owned(), latin.to_owned());
    }
    let (family, family_latin) = FAMILY[pick(rng, FAMILY.len())];
    let given = match sex {
        Sex::Female => &WOMEN,
        Sex::Male => &MEN,
    };
    let (given, given_latin) = given[pick(rng, given.len())];
    (format!("{family}{given}"), format!("{family_latin} {given_latin}"))
}

/// A number below `n`. The slight bias does not matter: nobody's secret depends on it.
fn pick(rng: &dyn Rng, n: usize) -> usize {
    usize::from(u16::from_be_bytes(hufu_kernel::random(rng))) % n
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use std::collections::BTreeSet;

    const TODAY: Date = date(2026, 11, 22);

    fn age(person: &Person, today: Date) -> i32 {
        let years = i32::from(today.year()) - i32::from(person.birth.year());
        let had = (today.month(), today.day()) >= (person.birth.month(), person.birth.day());
        if had { years } else { years - 1 }
    }

    fn named<'a>(persons: &'a [Person], id: &str) -> &'a Person {
        persons.iter().find(|person| person.id == id).unwrap()
    }

    #[test]
    fn a_seed_and_a_day_give_the_same_two_hundred_persons() {
        let one = persons(7, TODAY).unwrap();
        assert_eq!(one.len(), COUNT);
        assert_eq!(one, persons(7, TODAY).unwrap());
        let other = persons(8, TODAY).unwrap();
        assert_eq!(one[..16], other[..16]);
        assert_ne!(one[16..], other[16..]);
        assert_eq!(one.iter().filter(|person| person.persona.is_some()).count(), 16);
    }

    #[test]
    fn ids_documents_and_phones_are_unique_and_all_in_the_sandbox() {
        let persons = persons(1, TODAY).unwrap();
        let ids: BTreeSet<_> = persons.iter().map(|p| &p.id).collect();
        let phones: BTreeSet<_> = persons.iter().map(|p| p.phone.as_str()).collect();
        let documents: Vec<_> = persons.iter().flat_map(|p| &p.documents).collect();
        let numbers: BTreeSet<_> = documents.iter().map(|d| d.number.tag_parts()).collect();
        assert_eq!((ids.len(), phones.len(), numbers.len()), (COUNT, COUNT, documents.len()));
        assert!(documents.iter().all(|d| d.number.is_sandbox()) && persons.iter().all(|p| p.phone.is_sandbox()));
        for kind in DocumentType::ALL {
            assert!(documents.iter().any(|d| d.number.kind() == kind), "{}", kind.code());
        }
        for person in &persons {
            for document in &person.documents {
                assert!(document.number.birth_date().is_none_or(|birth| birth == person.birth));
                assert!(document.number.sex().is_none_or(|sex| sex == person.sex));
            }
        }
    }

    #[test]
    fn edges_stay_edges_on_any_day() {
        for today in [TODAY, date(2028, 2, 29), date(2027, 3, 1), date(2026, 1, 1), date(2026, 12, 31)] {
            let persons = persons(1, today).unwrap();
            let tomorrow = today.tomorrow().unwrap();
            let lin = named(&persons, "lin-xiaoyu");
            assert_eq!((age(lin, today), age(lin, tomorrow)), (18, 19), "{today}");
            assert_eq!(age(named(&persons, "zhou-tiantian"), today), 13);
            assert_eq!(age(named(&persons, "zhou-zihang"), today), 16);
            assert_eq!(age(named(&persons, "wang-guiying"), today), 78);
            let edges: Vec<_> = persons[16..22].iter().map(|person| age(person, today)).collect();
            // Born on 29 February fourteen or eighteen years before a day without one: the birthday is 1 March.
            assert_eq!(edges, [13, 14, 14, 17, 18, 18], "{today}");
        }
    }

    #[test]
    fn wards_have_guardians_and_situations_agree_with_the_register() {
        let persons = persons(1, TODAY).unwrap();
        for person in &persons {
            let Some(persona) = &person.persona else { continue };
            let expected = match persona.situation {
                Situation::DocumentExpired => Status::Expired,
                Situation::Deceased => Status::Deceased,
                _ => Status::Valid,
            };
            assert!(person.documents.iter().all(|document| document.status == expected), "{}", person.id);
            let minor = matches!(persona.situation, Situation::Child | Situation::Teen);
            assert_eq!(person.guardian.is_some(), minor);
            if let Some(guardian) = &person.guardian {
                assert!(age(named(&persons, guardian), TODAY) >= 18);
            }
            for text in [&persona.story, &persona.try_this] {
                assert!(!text.zh.is_empty() && !text.en.is_empty());
            }
        }
    }

    #[test]
    fn names_of_every_shape_occur() {
        let persons = persons(1, TODAY).unwrap();
        for shape in ["·", "'", "-", " ", "𬱟"] {
            assert!(persons.iter().any(|person| person.name.contains(shape)), "{shape}");
        }
        assert!(persons.iter().any(|person| person.name.chars().count() == 2));
    }
}

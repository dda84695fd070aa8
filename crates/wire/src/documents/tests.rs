use super::*;
use jiff::civil::date;
use proptest::prelude::*;

fn parse(kind: DocumentType, text: &str) -> Result<String, DocumentError> {
    DocumentNumber::parse(kind, text).map(|number| number.expose().to_owned())
}

fn any_type() -> impl Strategy<Value = DocumentType> {
    proptest::sample::select(DocumentType::ALL.to_vec())
}

fn any_sandbox() -> impl Strategy<Value = DocumentNumber> {
    (any_type(), 1900_i16..2030, 1_i8..=12, 1_i8..=28, any::<bool>(), 0_u16..50_000).prop_map(
        |(kind, year, month, day, male, sequence)| {
            let sex = if male { Sex::Male } else { Sex::Female };
            DocumentNumber::sandbox(kind, date(year, month, day), sex, sequence)
        },
    )
}

#[test]
fn published_examples_parse() {
    use DocumentType as D;
    // GB 11643-1999 annex; the two of the National Immigration Administration's rules for the 2023 card.
    for (kind, text) in [
        (D::ResidentIdentityCard, "11010519491231002X"),
        (D::ResidentIdentityCard, "440524188001010014"),
        (D::ForeignPermanentResidenceCard, "932682198501010017"),
        (D::ForeignPermanentResidenceCard, "911124198108030024"),
    ] {
        assert_eq!(parse(kind, text).as_deref(), Ok(text));
    }
    let card = DocumentNumber::parse(D::ForeignPermanentResidenceCard, "911124198108030024").unwrap();
    assert_eq!((card.birth_date(), card.sex()), (Some(date(1981, 8, 3)), Some(Sex::Female)));
}

#[test]
fn every_form_of_every_type_is_read() {
    use DocumentType as D;
    for (kind, text, canonical) in [
        (D::ResidentIdentityCard, "１１０１０５ 1949-1231-002ｘ", "11010519491231002X"),
        (D::HongKongMacauTravelPermit, "h1234567801", "H12345678"),
        (D::HongKongMacauTravelPermit, "M 1234 5678", "M12345678"),
        (D::TaiwanTravelPermit, "0561682001", "05616820"),
        (D::TaiwanTravelPermit, "05616820", "05616820"),
        (D::ForeignPermanentResidenceCard, "can110078121501", "CAN110078121501"),
        (D::OrdinaryPassport, "e12345678", "E12345678"),
        (D::OrdinaryPassport, "EA1234567", "EA1234567"),
        (D::OrdinaryPassport, "G12345678", "G12345678"),
    ] {
        assert_eq!(parse(kind, text).as_deref(), Ok(canonical), "{text}");
    }
}

#[test]
fn what_is_refused_is_refused_for_the_stated_reason() {
    use DocumentError as E;
    use DocumentType as D;
    for (kind, text, why) in [
        (D::ResidentIdentityCard, "", E::Length),
        (D::ResidentIdentityCard, "110105194912310", E::Length),
        (D::ResidentIdentityCard, "110105194912310021", E::Check),
        (D::ResidentIdentityCard, "1101051949123100３X", E::Check),
        (D::ResidentIdentityCard, "11010519491231002A", E::Character),
        (D::ResidentIdentityCard, "1101051949123100X2", E::Character),
        (D::ResidentIdentityCard, "110105_9491231002X", E::Character),
        (D::ResidentIdentityCard, "110105194902290022", E::BirthDate),
        (D::ResidentIdentityCard, "990105174901010022", E::BirthDate),
        (D::ResidentIdentityCard, "160105194912310022", E::Area),
        (D::ResidentIdentityCard, "810000194912310022", E::Beginning),
        (D::HongKongMacauResidencePermit, "830000194912310022", E::Beginning),
        (D::HongKongMacauResidencePermit, "810105194912310022", E::Beginning),
        (D::TaiwanResidencePermit, "11010519491231002X", E::Beginning),
        (D::HongKongMacauTravelPermit, "A12345678", E::Beginning),
        (D::HongKongMacauTravelPermit, "H123456789", E::Length),
        (D::HongKongMacauTravelPermit, "HH2345678", E::Character),
        (D::TaiwanTravelPermit, "0561682001(D)", E::Character),
        (D::TaiwanTravelPermit, "123456789", E::Length),
        (D::ForeignPermanentResidenceCard, "11010519491231002X", E::Beginning),
        (D::ForeignPermanentResidenceCard, "911124198108030028", E::Check),
        (D::ForeignPermanentResidenceCard, "916124198108030024", E::Area),
        (D::ForeignPermanentResidenceCard, "CAN11007812150X", E::Character),
        (D::OrdinaryPassport, "EI1234567", E::Character),
        (D::OrdinaryPassport, "D12345678", E::Beginning),
        (D::OrdinaryPassport, "X12345678", E::Beginning),
        (D::OrdinaryPassport, "E1234567", E::Length),
    ] {
        assert_eq!(parse(kind, text), Err(why), "{text}");
    }
}

#[test]
fn a_renewed_travel_permit_gives_the_same_tag_input() {
    let kind = DocumentType::HongKongMacauTravelPermit;
    let first = DocumentNumber::parse(kind, "H1234567800").unwrap();
    let renewed = DocumentNumber::parse(kind, "H1234567801").unwrap();
    assert_eq!(first.tag_parts(), renewed.tag_parts());
    assert_eq!(first.tag_parts(), ("CHN", "hong_kong_macau_travel_permit", "H12345678"));
}

#[test]
fn neither_debug_nor_an_error_repeats_the_number() {
    let number = DocumentNumber::parse(DocumentType::ResidentIdentityCard, "11010519491231002X").unwrap();
    assert_eq!(format!("{number:?}"), "DocumentNumber(resident_identity_card, 1****************X)");
    let error = parse(DocumentType::ResidentIdentityCard, "110105194912310021").unwrap_err();
    assert!(!format!("{error} {error:?}").contains(|c: char| c.is_ascii_digit()));
}

#[test]
fn json_takes_only_the_canonical_form() {
    let number = DocumentNumber::parse(DocumentType::OrdinaryPassport, "E12345678").unwrap();
    let json = serde_json::to_string(&number).unwrap();
    assert_eq!(json, r#"{"type":"ordinary_passport","number":"E12345678"}"#);
    assert_eq!(serde_json::from_str::<DocumentNumber>(&json).unwrap(), number);
    assert!(serde_json::from_str::<DocumentNumber>(&json.replace('E', "e")).is_err());
    assert!(serde_json::from_str::<DocumentNumber>(r#"{"type":"ordinary_passport","number":"1"}"#).is_err());
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    version: u32,
    country: String,
    document: Vec<RuleDocument>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleDocument {
    code: DocumentType,
    zh: String,
    en: String,
    form: Vec<RuleForm>,
    source: String,
    #[serde(rename = "verified")]
    _verified: bool,
    #[serde(rename = "note", default)]
    _note: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    shape: String,
    check: String,
}

/// One example that fits the shape: `#` a digit, `@` a letter, anything else itself.
fn example(form: &RuleForm) -> String {
    form.shape.replace('#', "1").replace('@', "A")
}

#[test]
fn the_rules_file_and_the_code_agree() {
    let rules: Rules = toml::from_str(include_str!("../../../../rules/documents.toml")).unwrap();
    assert_eq!((rules.version, rules.country.as_str()), (1, ISSUER));
    let codes: Vec<_> = rules.document.iter().map(|document| document.code).collect();
    assert_eq!(codes, DocumentType::ALL);
    for document in &rules.document {
        assert_eq!(document.zh, document.code.name(Lang::ZhHans));
        assert_eq!(document.en, document.code.name(Lang::En));
        assert!(!document.source.is_empty());
        assert_eq!(serde_json::to_value(document.code).unwrap(), document.code.code());
        assert_eq!(DocumentType::from_code(document.code.code()), Some(document.code));
        for form in &document.form {
            // A shape without a check character is enough to be accepted; with one, the check decides.
            let parsed = parse(document.code, &example(form));
            match form.check.as_str() {
                "none" => assert!(parsed.is_ok(), "{} {}", document.code.code(), form.shape),
                "iso-7064-mod-11-2" => assert_ne!(parsed, Err(DocumentError::Length)),
                other => panic!("unknown check {other}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn every_sandbox_number_parses_as_its_own_type_only(number in any_sandbox()) {
        prop_assert!(number.is_sandbox());
        prop_assert_eq!(&DocumentNumber::parse(number.kind(), number.expose())?, &number);
        for other in DocumentType::ALL {
            if other != number.kind() {
                prop_assert!(DocumentNumber::parse(other, number.expose()).is_err(), "{:?} as {:?}", number, other);
            }
        }
    }

    #[test]
    fn sandbox_numbers_of_different_persons_differ(a in any_sandbox(), sequence in 0_u16..50_000) {
        let (birth, sex) = (date(1990, 1, 1), Sex::Female);
        let b = DocumentNumber::sandbox(a.kind(), birth, sex, sequence);
        let c = DocumentNumber::sandbox(a.kind(), birth, sex, (sequence + 1) % 50_000);
        prop_assert_ne!(b, c);
    }

    #[test]
    fn birth_date_and_sex_come_back(male: bool, days in 0_i32..40_000, sequence in 0_u16..50_000) {
        let birth = date(1900, 1, 1).saturating_add(jiff::Span::new().days(days));
        let sex = if male { Sex::Male } else { Sex::Female };
        let number = DocumentNumber::sandbox(DocumentType::ResidentIdentityCard, birth, sex, sequence);
        prop_assert_eq!((number.birth_date(), number.sex()), (Some(birth), Some(sex)));
    }

    #[test]
    fn any_one_wrong_digit_is_noticed(number in any_sandbox(), position in 0_usize..18, digit in b'0'..=b'9') {
        let mut typed = number.expose().as_bytes().to_vec();
        prop_assume!(typed.len() == 18 && typed[position] != digit);
        typed[position] = digit;
        prop_assert!(DocumentNumber::parse(number.kind(), std::str::from_utf8(&typed)?).is_err());
    }

    #[test]
    fn whatever_parses_is_canonical(kind in any_type(), text in "[0-9A-Za-z０-９ -]{0,20}|\\PC{0,20}") {
        if let Ok(number) = DocumentNumber::parse(kind, &text) {
            prop_assert_eq!(&DocumentNumber::parse(kind, number.expose())?, &number);
            prop_assert!(number.masked().contains("****"));
        }
    }
}

#[test]
fn fuzz_any_bytes() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            for kind in DocumentType::ALL {
                if let Ok(number) = DocumentNumber::parse(kind, text) {
                    assert_eq!(DocumentNumber::parse(kind, number.expose()), Ok(number));
                }
            }
        }
    });
}

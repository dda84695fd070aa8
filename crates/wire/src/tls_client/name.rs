//! Distinguished names, read from their string form (RFC 4514).

use std::fmt;

/// The short names of RFC 4514 section 3, and those that tools write besides, with their object identifiers.
const KNOWN: [(&str, &str); 12] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
];

/// An attribute's value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AttributeValue {
    /// Of a string type.
    Text(String),
    /// Of any type, the whole of its DER.
    Der(Vec<u8>),
}

/// One or more attributes: object identifier and value, sorted, since they are a set.
type Relative = Vec<(String, AttributeValue)>;

/// A distinguished name: its relative names in the order in which a certificate holds them, the country first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DistinguishedName(Vec<Relative>);

impl DistinguishedName {
    /// A name of parts in a certificate's order.
    #[must_use]
    pub fn of(relatives: impl IntoIterator<Item = Vec<(String, AttributeValue)>>) -> Self {
        let sorted = |mut relative: Relative| {
            relative.sort();
            relative
        };
        Self(relatives.into_iter().map(sorted).collect())
    }

    /// Reads the string form: `CN=shop,O=Shop Ltd,C=XX`, the last part first; spaces before a part's type are passed over, as tools
    /// write them. `None` for what is no such form, or names a type that has no short name here: write that as an object identifier.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let (mut relatives, mut relative) = (Vec::new(), Relative::new());
        let mut rest = text;
        loop {
            let (kind, value) = rest.split_once('=')?;
            let kind = object_identifier(kind.trim_start_matches(' '))?;
            let (value, end) = value_of(value)?;
            relative.push((kind, value));
            let mut left = end.chars();
            let joint = left.next();
            rest = left.as_str();
            if joint != Some('+') {
                relatives.push(std::mem::take(&mut relative));
            }
            match joint {
                None => break,
                Some('+' | ',') => {}
                Some(_) => return None,
            }
        }
        relatives.reverse();
        Some(Self::of(relatives))
    }

    /// Whether it has no part.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The string form of RFC 4514.
impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, relative) in self.0.iter().rev().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            for (at, (kind, value)) in relative.iter().enumerate() {
                let short = KNOWN.iter().find(|(_, known)| known == kind).map_or(kind.as_str(), |(short, _)| short);
                write!(f, "{}{short}=", if at == 0 { "" } else { "+" })?;
                match value {
                    AttributeValue::Text(text) => escaped(f, text)?,
                    AttributeValue::Der(der) => {
                        f.write_str("#")?;
                        der.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (at, c) in text.chars().enumerate() {
        match c {
            '\0' => f.write_str("\\00")?,
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{c}")?,
            ' ' if at == 0 || at == last => f.write_str("\\ ")?,
            '#' if at == 0 => f.write_str("\\#")?,
            c => write!(f, "{c}")?,
        }
    }
    Ok(())
}

fn object_identifier(kind: &str) -> Option<String> {
    let known = KNOWN.iter().find(|(short, _)| short.eq_ignore_ascii_case(kind));
    if let Some((_, identifier)) = known {
        return Some((*identifier).to_owned());
    }
    let number = |arc: &str| {
        !arc.is_empty()
            && arc.len() <= 20
            && arc.bytes().all(|b| b.is_ascii_digit())
            && (arc == "0" || !arc.starts_with('0'))
    };
    (kind.contains('.') && kind.len() <= 100 && kind.split('.').all(number)).then(|| kind.to_owned())
}

/// The value at the beginning, and what comes after it, its separator first.
fn value_of(text: &str) -> Option<(AttributeValue, &str)> {
    if let Some(hex) = text.strip_prefix('#') {
        let end = hex.find([',', '+']).unwrap_or(hex.len());
        let (digits, rest) = hex.split_at(end);
        let pairs = digits.as_bytes().chunks(2).map(|pair| byte(pair.first().copied()?, pair.get(1).copied()?));
        let der = pairs.collect::<Option<Vec<u8>>>().filter(|der| !der.is_empty())?;
        return Some((AttributeValue::Der(der), rest));
    }
    let bytes = text.as_bytes();
    let (mut value, mut at, mut written) = (Vec::new(), 0, 0);
    while let Some(&byte_at) = bytes.get(at) {
        match byte_at {
            b',' | b'+' => break,
            b'"' | b';' | b'<' | b'>' | 0 => return None,
            b'\\' => {
                let next = *bytes.get(at + 1)?;
                if b"\"+,;<>\\ #=".contains(&next) {
                    value.push(next);
                    at += 2;
                } else {
                    value.push(byte(next, *bytes.get(at + 2)?)?);
                    at += 3;
                }
                // What is escaped may stand at the end.
                written = value.len();
            }
            // A space that is not escaped neither begins nor ends a value (RFC 4514 section 2.4).
            b' ' if value.is_empty() => return None,
            other => {
                value.push(other);
                at += 1;
                if other != b' ' {
                    written = value.len();
                }
            }
        }
    }
    if written != value.len() {
        return None;
    }
    Some((AttributeValue::Text(String::from_utf8(value).ok()?), text.get(at..)?))
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(kind: &str, value: &str) -> (String, AttributeValue) {
        (object_identifier(kind).unwrap(), AttributeValue::Text(value.to_owned()))
    }

    #[test]
    fn the_examples_of_rfc_4514_section_4_are_read() {
        let of = |relatives: &[&[(&str, &str)]]| {
            let relative =
                |relative: &&[(&str, &str)]| relative.iter().map(|(kind, value)| text(kind, value)).collect();
            Some(DistinguishedName::of(relatives.iter().map(relative).collect::<Vec<Vec<_>>>()))
        };
        let read = DistinguishedName::parse;
        assert_eq!(
            read("UID=jsmith,DC=example,DC=net"),
            of(&[&[("DC", "net")], &[("DC", "example")], &[("UID", "jsmith")]])
        );
        assert_eq!(
            read("OU=Sales+CN=J.  Smith,DC=example,DC=net"),
            of(&[&[("DC", "net")], &[("DC", "example")], &[("CN", "J.  Smith"), ("OU", "Sales")]])
        );
        let quoted = r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#;
        assert_eq!(read(quoted), of(&[&[("DC", "net")], &[("DC", "example")], &[("CN", "James \"Jim\" Smith, III")]]));
        assert_eq!(read(r"CN=Before\0dAfter,DC=example"), of(&[&[("DC", "example")], &[("CN", "Before\rAfter")]]));
        assert_eq!(read(r"CN=Lu\C4\8Di\C4\87"), of(&[&[("CN", "Lučić")]]));
        let hex = read("1.3.6.1.4.1.1466.0=#04024869").unwrap();
        let der = AttributeValue::Der(vec![4, 2, 0x48, 0x69]);
        assert_eq!(hex, DistinguishedName::of([vec![("1.3.6.1.4.1.1466.0".to_owned(), der)]]));
        // As OpenSSL writes it.
        assert_eq!(read("CN=shop, O=Shop"), read("cn=shop,o=Shop"));
        assert_eq!(read(r"CN=\ a b\ ").unwrap().to_string(), r"CN=\ a b\ ");
    }

    #[test]
    fn what_is_no_such_form_is_refused() {
        for text in [
            "CN", "CN=a,", ",CN=a", "CN=a;O=b", "CN=\"a\"", "CN=a+", "XX=a", "1=a", "1..2=a", "1.02=a", "CN= a",
            "CN=a ", "CN=#", "CN=#0", "CN=#zz", "CN=a\\", "CN=a\\q", "CN=a\\f", "CN=\\ff", "CN=a\0", "CN=a<b", "CN =a",
        ] {
            assert_eq!(DistinguishedName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn order_of_parts_counts_and_order_within_one_does_not() {
        let read = |text: &str| DistinguishedName::parse(text).unwrap();
        assert_ne!(read("CN=a,O=b"), read("O=b,CN=a"));
        assert_eq!(read("CN=a+O=b"), read("O=b+CN=a"));
        assert_ne!(read("CN=a+O=b"), read("CN=a,O=b"));
        assert_ne!(read("CN=a"), read("CN=A"));
        assert_ne!(read(r"CN=a\,O\=b"), read("CN=a,O=b"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(parts in proptest::collection::vec(
            proptest::collection::btree_map(0..KNOWN.len(), ".{0,12}", 1..3), 0..4,
        )) {
            let relatives: Vec<Vec<_>> = parts
                .iter()
                .map(|part| part.iter().map(|(kind, value)| text(KNOWN[*kind].0, value)).collect())
                .collect();
            let name = DistinguishedName::of(relatives);
            prop_assert_eq!(DistinguishedName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn strangers_texts_are_names_that_are_written_again_or_refused() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Some(name) = DistinguishedName::parse(text) {
                assert_eq!(DistinguishedName::parse(&name.to_string()), Some(name));
            }
        });
    }
}

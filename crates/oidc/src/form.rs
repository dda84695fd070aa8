//! `application/x-www-form-urlencoded` as OAuth uses it (RFC 6749 appendix B).

use form_urlencoded::{Serializer, parse};

/// More parameters than any request has.
const MAX_PARAMETERS: usize = 64;

/// The one parameter that may stand more than once (RFC 8707 section 2); it is ignored here.
const REPEATABLE: &str = "resource";

/// Why a form was not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormError {
    /// A parameter stands twice (RFC 6749 section 3.1).
    #[error("a parameter is repeated")]
    Repeated,
    /// Not UTF-8, a control character, or too many parameters.
    #[error("the form is malformed")]
    Malformed,
}

/// The parameters of a request. A parameter sent without a value counts as omitted (RFC 6749 section 3.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body or a query string.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse(text: &str) -> Result<Self, FormError> {
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in parse(text.as_bytes()) {
            if read.len() >= MAX_PARAMETERS || !plain(&name) || !plain(&value) {
                return Err(FormError::Malformed);
            }
            if name != REPEATABLE && read.iter().any(|(known, _)| *known == name) {
                return Err(FormError::Repeated);
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(read))
    }

    /// Parameters that did not come as a form: the claims of a request object.
    pub(crate) fn of(parameters: Vec<(String, String)>) -> Result<Self, FormError> {
        let fits =
            parameters.len() <= MAX_PARAMETERS && parameters.iter().all(|(name, value)| plain(name) && plain(value));
        if fits { Ok(Self(parameters)) } else { Err(FormError::Malformed) }
    }

    /// A parameter's value, if it has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The parameters encoded again.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut pairs = Pairs::default();
        for (name, value) in &self.0 {
            pairs = pairs.with(name, value);
        }
        pairs.encode()
    }
}

/// U+FFFD stands where the decoder met bytes that are not UTF-8.
fn plain(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || c == '\u{fffd}')
}

/// Parameters to be sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// With one more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With one more, if there is one.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// As a body or a query string.
    #[must_use]
    pub fn encode(&self) -> String {
        Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// `uri` with parameters added to its query, which it may already have (RFC 6749 section 3.1.2). `uri` has no fragment:
/// admission refuses one.
#[must_use]
pub fn with_query(uri: &str, pairs: &Pairs) -> String {
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{}", pairs.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_encoded_is_read_again(pairs in proptest::collection::btree_map("[a-z_]{1,8}", "[^\\p{C}\u{fffd}]{1,16}", 0..8)) {
            let sent = pairs.iter().fold(Pairs::default(), |sent, (name, value)| sent.with(name, value));
            let read = Form::parse(&sent.encode()).unwrap();
            for (name, value) in &pairs {
                prop_assert_eq!(read.get(name), Some(value.as_str()));
            }
            prop_assert_eq!(Form::parse(&read.encode()), Ok(read));
        }
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_if_equal_or_empty() {
        for text in ["a=1&a=1", "a=1&a=2", "a=&a=1", "a&a", "client_id=x&b=1&client%5Fid=y"] {
            assert_eq!(Form::parse(text), Err(FormError::Repeated), "{text}");
        }
        assert!(Form::parse("resource=a&resource=b").is_ok());
    }

    #[test]
    fn a_parameter_without_a_value_is_omitted() {
        assert_eq!(Form::parse("a=&b").unwrap().get("a"), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        for text in ["a=%ff", "a=%00", "a=%0d%0aSet-Cookie:x", "%80=1"] {
            assert_eq!(Form::parse(text), Err(FormError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_query_is_joined_to_one_that_is_there() {
        let pairs = Pairs::default().with("code", "a b&c");
        assert_eq!(with_query("https://p.example/cb", &pairs), "https://p.example/cb?code=a+b%26c");
        assert_eq!(with_query("https://p.example/cb?x=1", &pairs), "https://p.example/cb?x=1&code=a+b%26c");
        assert_eq!(with_query("https://p.example/cb?", &pairs), "https://p.example/cb?code=a+b%26c");
    }

    #[test]
    fn no_bytes_make_the_parser_fall_over() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(form) = Form::parse(&text) {
                assert_eq!(Form::parse(&form.encode()), Ok(form));
            }
        });
    }
}

//! The name that a platform's TLS client certificate must be in (RFC 8705 section 2.1), and what of a certificate is compared with it.
//!
//! Comparing is exact, but for the case of a host's name: a wildcard stands for no name, and two spellings of one distinguished name
//! are two names. A platform copies the name from its certificate, so nothing is won by being lenient.

#[cfg(feature = "native")]
mod certificate;
mod name;

#[cfg(feature = "native")]
pub use certificate::ClientCertificate;
pub use name::{AttributeValue, DistinguishedName};

use std::net::IpAddr;

/// The longest name that is registered, in bytes.
const LONGEST: usize = 1024;

/// Why a registered name is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubjectError {
    /// RFC 8705 section 2.1.2: exactly one.
    #[error(
        "exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email names the certificate"
    )]
    NotOne,
    /// Not of its kind.
    #[error(
        "a tls_client_auth_… is not what it is called: a distinguished name (RFC 4514), a host without a wildcard, a URI, an address, an e-mail address"
    )]
    Malformed,
}

/// The one name that a platform registered for its certificates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientSubject {
    /// `tls_client_auth_subject_dn`.
    Name(DistinguishedName),
    /// `tls_client_auth_san_dns`, in lower case.
    Dns(String),
    /// `tls_client_auth_san_uri`.
    Uri(String),
    /// `tls_client_auth_san_ip`.
    Ip(IpAddr),
    /// `tls_client_auth_san_email`.
    Email(String),
}

impl ClientSubject {
    /// A distinguished name, as RFC 4514 writes it. The empty one, which any certificate without a subject has, is none.
    #[must_use]
    pub fn name(text: &str) -> Option<Self> {
        let name = DistinguishedName::parse(text).filter(|name| !name.is_empty() && text.len() <= LONGEST)?;
        Some(Self::Name(name))
    }

    /// A host's name: letters, digits and hyphens between dots.
    #[must_use]
    pub fn dns(text: &str) -> Option<Self> {
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(known);
        (text.len() <= 253 && text.split('.').all(label)).then(|| Self::Dns(text.to_ascii_lowercase()))
    }

    /// An absolute URI.
    #[must_use]
    pub fn uri(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let known = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        let begins = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let visible = text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        (visible && begins && scheme.bytes().all(known) && !rest.is_empty()).then(|| Self::Uri(text.to_owned()))
    }

    /// An IPv4 or IPv6 address.
    #[must_use]
    pub fn ip(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::Ip)
    }

    /// `local@host`.
    #[must_use]
    pub fn email(text: &str) -> Option<Self> {
        let (local, host) = text.rsplit_once('@')?;
        let visible = text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        (visible && !local.is_empty() && Self::dns(host).is_some()).then(|| Self::Email(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_registered_name_is_what_it_is_called() {
        assert_eq!(ClientSubject::dns("API.Shop.example"), Some(ClientSubject::Dns("api.shop.example".into())));
        for text in ["", ".", "*.shop.example", "shop.example.", "a..b", "shop example", "shop.example\0", "网.example"]
        {
            assert_eq!(ClientSubject::dns(text), None, "{text:?}");
        }
        assert!(
            ClientSubject::uri("urn:shop:api").is_some() && ClientSubject::uri("spiffe://shop.example/api").is_some()
        );
        for text in ["", "shop.example", ":x", "1a:x", "urn:", "urn:a b", "urn:\0", "a_b:x"] {
            assert_eq!(ClientSubject::uri(text), None, "{text:?}");
        }
        assert!(ClientSubject::ip("192.0.2.7").is_some() && ClientSubject::ip("2001:db8::7").is_some());
        for text in ["", "192.0.2.0/24", "192.0.2", "::g", "localhost"] {
            assert_eq!(ClientSubject::ip(text), None, "{text:?}");
        }
        assert!(ClientSubject::email("api@shop.example").is_some());
        for text in ["", "@shop.example", "api@", "shop.example", "api@*.example", "a b@shop.example"] {
            assert_eq!(ClientSubject::email(text), None, "{text:?}");
        }
        for text in ["", "CN", "CN=a,,O=b", "=a"] {
            assert_eq!(ClientSubject::name(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_registered_name_fall_over(text in ".{0,80}") {
            for read in [ClientSubject::name, ClientSubject::dns, ClientSubject::uri, ClientSubject::ip, ClientSubject::email] {
                let _ = read(&text);
            }
        }
    }
}

//! What of a certificate counts: its hash, and the names that it holds.

use super::{AttributeValue, ClientSubject, DistinguishedName};
use hufu_kernel::b64;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use x509_parser::asn1_rs::ToDer as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::AttributeTypeAndValue;

/// A certificate that a client proved to hold the key of, in a TLS handshake that also found an authority behind it. Reading one
/// proves nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    thumbprint: String,
    subject: DistinguishedName,
    alternative: Vec<ClientSubject>,
}

impl ClientCertificate {
    /// Reads a DER certificate. `None` if it is none, or has anything after it.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let relative = |relative: &x509_parser::x509::RelativeDistinguishedName<'_>| {
            relative.iter().map(attribute).collect::<Option<Vec<_>>>()
        };
        let subject = certificate.subject().iter().map(relative).collect::<Option<Vec<_>>>()?;
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(alternative);
        Some(Self {
            thumbprint: b64(&Sha256::digest(der)),
            subject: DistinguishedName::of(subject),
            alternative: names.collect(),
        })
    }

    /// SHA-256 of the DER, base64url: the value of `x5t#S256` (RFC 8705 section 3.1).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Whether it is in this name.
    #[must_use]
    pub fn is(&self, registered: &ClientSubject) -> bool {
        match registered {
            ClientSubject::Name(name) => *name == self.subject,
            other => self.alternative.contains(other),
        }
    }
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Option<(String, AttributeValue)> {
    let value = match attribute.as_str() {
        Ok(text) => AttributeValue::Text(text.to_owned()),
        Err(_) => AttributeValue::Der(attribute.attr_value().to_der_vec().ok()?),
    };
    Some((attribute.attr_type().to_id_string(), value))
}

/// A name that could have been registered; a wildcard, for one, could not.
fn alternative(name: &GeneralName<'_>) -> Option<ClientSubject> {
    match name {
        GeneralName::DNSName(host) => ClientSubject::dns(host),
        GeneralName::URI(uri) => ClientSubject::uri(uri),
        GeneralName::RFC822Name(address) => ClientSubject::email(address),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok().map(ClientSubject::Ip)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName as Subject, DnType, DnValue, KeyPair, SanType};

    fn certificate(parts: &[(DnType, DnValue)], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        let mut subject = Subject::new();
        for (kind, value) in parts {
            subject.push(kind.clone(), value.clone());
        }
        (params.distinguished_name, params.subject_alt_names) = (subject, names);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn shop() -> Vec<u8> {
        let parts = [
            (DnType::CountryName, DnValue::PrintableString("XX".try_into().unwrap())),
            (DnType::OrganizationName, DnValue::Utf8String("Shop, Ltd".into())),
            (DnType::CommonName, DnValue::Utf8String("商店".into())),
        ];
        let names = vec![
            SanType::DnsName("API.shop.example".try_into().unwrap()),
            SanType::DnsName("*.wild.example".try_into().unwrap()),
            SanType::URI("urn:shop:api".try_into().unwrap()),
            SanType::Rfc822Name("api@shop.example".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::7".parse().unwrap()),
        ];
        certificate(&parts, names)
    }

    #[test]
    fn a_certificate_is_in_the_names_it_holds_and_in_no_other() {
        let der = shop();
        let read = ClientCertificate::read(&der).unwrap();
        assert_eq!(read.thumbprint(), b64(&Sha256::digest(&der)));
        for name in [
            ClientSubject::name(r"CN=商店,O=Shop\, Ltd,C=XX"),
            ClientSubject::dns("api.SHOP.example"),
            ClientSubject::uri("urn:shop:api"),
            ClientSubject::email("api@shop.example"),
            ClientSubject::ip("192.0.2.7"),
            ClientSubject::ip("2001:db8:0::7"),
        ] {
            assert!(read.is(&name.clone().unwrap()), "{name:?}");
        }
        for name in [
            // A part less, a part more, another order, another case.
            ClientSubject::name(r"CN=商店,O=Shop\, Ltd"),
            ClientSubject::name("CN=商店"),
            ClientSubject::name(r"OU=x,CN=商店,O=Shop\, Ltd,C=XX"),
            ClientSubject::name(r"C=XX,O=Shop\, Ltd,CN=商店"),
            ClientSubject::name(r"CN=商店,O=shop\, ltd,C=XX"),
            // What stands in one place is not looked for in another.
            ClientSubject::name("CN=api.shop.example"),
            ClientSubject::dns("shop.example"),
            ClientSubject::dns("a.wild.example"),
            ClientSubject::dns("api.shop.example.evil"),
            ClientSubject::uri("urn:shop:api2"),
            ClientSubject::uri("urn:shop:API"),
            ClientSubject::email("API@shop.example"),
            ClientSubject::ip("192.0.2.8"),
            ClientSubject::ip("::ffff:192.0.2.7"),
        ] {
            assert!(!read.is(&name.clone().unwrap()), "{name:?}");
        }
    }

    #[test]
    fn a_name_of_another_type_is_compared_as_its_bytes() {
        let parts = [(DnType::CommonName, DnValue::BmpString("shop".try_into().unwrap()))];
        let read = ClientCertificate::read(&certificate(&parts, Vec::new())).unwrap();
        assert!(read.is(&ClientSubject::name("CN=#1e0800730068006f0070").unwrap()));
        assert!(!read.is(&ClientSubject::name("CN=shop").unwrap()));
    }

    #[test]
    fn what_is_no_certificate_or_more_than_one_is_refused() {
        let der = shop();
        assert!(ClientCertificate::read(&[]).is_none());
        assert!(ClientCertificate::read(&der[..der.len() - 1]).is_none());
        assert!(ClientCertificate::read(&[&der[..], &der[..]].concat()).is_none());
    }

    #[test]
    fn strangers_bytes_are_a_certificate_or_refused() {
        let good = shop();
        bolero::check!().for_each(|bytes: &[u8]| {
            let _ = ClientCertificate::read(bytes);
            // A certificate with some of its bytes changed, too.
            let mut changed = good.clone();
            for pair in bytes.chunks_exact(3).take(8) {
                let at = usize::from(u16::from_be_bytes([pair[0], pair[1]])) % changed.len();
                changed[at] = pair[2];
            }
            let _ = ClientCertificate::read(&changed);
        });
    }
}

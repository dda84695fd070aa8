//! Registering a device (section 7.1). Attestation is not trusted: the key's worth comes from the statement that adds it.

use super::assertion::check_credential_id;
use super::authenticator_data::AuthenticatorData;
use super::client_data::ClientData;
use super::{AssertionError, DeviceKey, Expectation, Facts, MAX_PART};
use crate::cose::{CoseError, Item, Reader};
use hufu_kernel::{Bytes, Octets};
use serde::{Deserialize, Serialize};

/// What a device returns from `navigator.credentials.create`, each part base64url.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Section 5.8.1.
    pub client_data_json: Bytes,
    /// Section 6.5.4: CBOR of `fmt`, `attStmt`, `authData`.
    pub attestation_object: Bytes,
}

/// A device that passed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// The credential id.
    pub credential_id: Bytes,
    /// The key.
    pub key: DeviceKey,
    /// What the authenticator says about itself.
    pub facts: Facts,
    /// The authenticator's model, unproven.
    pub aaguid: Octets<16>,
}

/// Checks a registration as section 7.1 orders it. Any attestation format is read, none believed. That no other row holds
/// the credential id (step 26) is the caller's unique index.
///
/// # Errors
/// The first step that refuses.
pub fn register(expectation: &Expectation<'_>, registration: &Registration) -> Result<NewDevice, AssertionError> {
    ClientData::parse(&registration.client_data_json.0)?.check("webauthn.create", expectation)?;
    let bytes = authenticator_data(&registration.attestation_object.0)?;
    let data = AuthenticatorData::parse(bytes)?;
    let facts = data.check(expectation)?;
    let attested = data.attested.ok_or(AssertionError::AuthenticatorData)?;
    check_credential_id(attested.credential_id)?;
    let (key, alg) = attested.key;
    Ok(NewDevice {
        credential_id: attested.credential_id.into(),
        key: DeviceKey { key, alg },
        facts,
        aaguid: Octets(attested.aaguid),
    })
}

/// Takes `authData` out of an attestation object.
fn authenticator_data(object: &[u8]) -> Result<&[u8], AssertionError> {
    const REFUSED: AssertionError = AssertionError::AttestationObject;
    if object.len() > 2 * MAX_PART {
        return Err(REFUSED);
    }
    let (fmt, statement, data) = members(object).map_err(|_| REFUSED)?;
    // Section 8.7: the statement of `none` is the empty map.
    if fmt == "none" && statement != [0xa0] { Err(REFUSED) } else { Ok(data) }
}

/// `fmt`, `attStmt` (whole) and `authData`; no other member.
fn members(object: &[u8]) -> Result<(&str, &[u8], &[u8]), CoseError> {
    let mut whole = Reader::new(object);
    whole.whole()?;
    whole.end()?;
    let mut reader = Reader::new(object);
    let (mut fmt, mut statement, mut data) = (None, None, None);
    for _ in 0..reader.map()? {
        match reader.item()? {
            Item::Text("fmt") => match reader.item()? {
                Item::Text(value) => fmt = Some(value),
                _ => return Err(CoseError::Shape),
            },
            Item::Text("attStmt") => {
                let value = reader.whole()?;
                Reader::new(value).map()?;
                statement = Some(value);
            }
            Item::Text("authData") => match reader.item()? {
                Item::Bytes(value) => data = Some(value),
                _ => return Err(CoseError::Shape),
            },
            _ => return Err(CoseError::Shape),
        }
    }
    Ok((fmt.ok_or(CoseError::Shape)?, statement.ok_or(CoseError::Shape)?, data.ok_or(CoseError::Shape)?))
}

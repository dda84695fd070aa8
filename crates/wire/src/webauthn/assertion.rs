//! Verifying an assertion (section 7.2).

use super::authenticator_data::AuthenticatorData;
use super::client_data::ClientData;
use super::{AssertionError, DeviceKey, Expectation, Facts, MAX_CREDENTIAL_ID};
use hufu_kernel::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a device returns from `navigator.credentials.get`, each part base64url.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Which credential signed.
    pub credential_id: Bytes,
    /// Section 6.1.
    pub authenticator_data: Bytes,
    /// Section 5.8.1, exactly the bytes that the browser hashed.
    pub client_data_json: Bytes,
    /// Over authenticator data ‖ SHA-256(client data).
    pub signature: Bytes,
}

/// Checks an assertion as section 7.2 orders it. That `key` is the key of `assertion.credential_id` is the caller's look-up
/// (by [`super::credential_hash`]); so are the two comparisons with stored state: BE, and the counter.
///
/// # Errors
/// The first step that refuses.
pub fn check(key: &DeviceKey, expectation: &Expectation<'_>, assertion: &Assertion) -> Result<Facts, AssertionError> {
    check_credential_id(&assertion.credential_id.0)?;
    ClientData::parse(&assertion.client_data_json.0)?.check("webauthn.get", expectation)?;
    let data = AuthenticatorData::parse(&assertion.authenticator_data.0)?;
    if data.attested.is_some() {
        // Section 6.1: assertions carry no attested credential data.
        return Err(AssertionError::AuthenticatorData);
    }
    let facts = data.check(expectation)?;
    let message = signed_bytes(&assertion.authenticator_data.0, &assertion.client_data_json.0);
    if key.verify(&message, &assertion.signature.0) { Ok(facts) } else { Err(AssertionError::Signature) }
}

pub(super) fn check_credential_id(id: &[u8]) -> Result<(), AssertionError> {
    if (1..=MAX_CREDENTIAL_ID).contains(&id.len()) { Ok(()) } else { Err(AssertionError::CredentialId) }
}

/// What the authenticator signs (section 6.3.3 step 11).
pub(super) fn signed_bytes(authenticator_data: &[u8], client_data_json: &[u8]) -> Vec<u8> {
    let mut message = authenticator_data.to_vec();
    message.extend_from_slice(&Sha256::digest(client_data_json));
    message
}

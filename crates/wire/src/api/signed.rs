//! A message one office signs for another.

use hufu_kernel::{Bytes, Octets, framed};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::marker::PhantomData;

/// Why a signed message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// The signature does not verify under the pinned key of the named office.
    #[error("no valid signature of the named office")]
    Signature,
    /// The payload is not of the expected shape.
    #[error("the signed payload does not parse")]
    Payload,
}

/// A `T`, as the exact bytes that `office` signed with Ed25519 over `"hufu-v1-office" ‖ office ‖ purpose ‖ payload`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub struct Signed<T> {
    /// The signer's name: `uniqueness`, `node-2`.
    pub office: String,
    /// JSON of a `T`.
    pub payload: Bytes,
    /// Ed25519 (RFC 8032).
    pub signature: Octets<64>,
    #[serde(skip)]
    content: PhantomData<T>,
}

/// The payload's own shape is named by the member that holds it.
#[cfg(feature = "schema")]
impl<T> schemars::JsonSchema for Signed<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Signed".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        hufu_kernel::schema_of(serde_json::json!({
            "type": "object",
            "description": "A message that one office signed: Ed25519 over the framed \"hufu-v1-office\", office, purpose and payload.",
            "properties": {
                "office": { "type": "string", "description": "The signer's name: `uniqueness`, `node-2`." },
                "payload": generator.subschema_for::<Bytes>(),
                "signature": generator.subschema_for::<Octets<64>>(),
            },
            "required": ["office", "payload", "signature"],
            "additionalProperties": false,
        }))
    }
}

/// A message that offices sign.
pub trait Purpose: Serialize + DeserializeOwned {
    /// Separates this kind of message from every other.
    const PURPOSE: &'static str;
}

fn signing_bytes(office: &str, purpose: &str, payload: &[u8]) -> Vec<u8> {
    framed(&[b"hufu-v1-office", office.as_bytes(), purpose.as_bytes(), payload])
}

impl<T: Purpose> Signed<T> {
    /// Signs `message` in the name of `office`.
    ///
    /// # Errors
    /// Whatever `sign` answers, or [`SignedError::Payload`] if the message does not encode.
    pub fn make<E: From<SignedError>>(
        office: &str,
        message: &T,
        sign: impl FnOnce(&[u8]) -> Result<Octets<64>, E>,
    ) -> Result<Self, E> {
        let payload = serde_json::to_vec(message).map_err(|_| SignedError::Payload)?;
        let signature = sign(&signing_bytes(office, T::PURPOSE, &payload))?;
        Ok(Self { office: office.to_owned(), payload: Bytes(payload), signature, content: PhantomData })
    }

    /// The message, if `verify(office, signed bytes, signature)` accepts: the caller holds the pinned keys.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn open(&self, verify: impl FnOnce(&str, &[u8], &Octets<64>) -> bool) -> Result<T, SignedError> {
        if !verify(&self.office, &signing_bytes(&self.office, T::PURPOSE, &self.payload.0), &self.signature) {
            return Err(SignedError::Signature);
        }
        serde_json::from_slice(&self.payload.0).map_err(|_| SignedError::Payload)
    }
}

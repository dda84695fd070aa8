//! Putting disclosed claims back in place (RFC 9901 section 7.1, step 3 to 5).

use super::{Disclosure, MAX_DEPTH, SdJwtError};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The processed payload: disclosed claims in place, digests without a disclosure dropped, `_sd` and `_sd_alg` gone.
///
/// # Errors
/// `Algorithm` if `_sd_alg` is there and not `sha-256`; `Duplicate` if a digest occurs twice anywhere; `Unreferenced` if
/// nothing refers to a disclosure; `Collision` if a disclosed claim exists already; `Reserved` if `_sd`, `_sd_alg` or
/// `...` stands where it has no meaning; `Disclosure` if a property's digest leads to an array element or the reverse.
pub fn verify_disclosures(
    payload: &Map<String, Value>,
    disclosures: &[Disclosure],
) -> Result<Map<String, Value>, SdJwtError> {
    let mut payload = payload.clone();
    match payload.remove("_sd_alg") {
        None => {}
        Some(Value::String(name)) if name == "sha-256" => {}
        Some(_) => return Err(SdJwtError::Algorithm),
    }
    let mut by_digest = BTreeMap::new();
    for disclosure in disclosures {
        if by_digest.insert(disclosure.digest(), disclosure).is_some() {
            return Err(SdJwtError::Duplicate);
        }
    }
    let mut processing = Processing { by_digest, met: BTreeSet::new() };
    let claims = processing.object(payload, 0)?;
    if processing.by_digest.is_empty() { Ok(claims) } else { Err(SdJwtError::Unreferenced) }
}

struct Processing<'a> {
    /// Disclosures not yet referred to. Taking one out is what makes a second use impossible.
    by_digest: BTreeMap<String, &'a Disclosure>,
    /// Every digest met so far, decoys included.
    met: BTreeSet<String>,
}

impl<'a> Processing<'a> {
    fn value(&mut self, value: Value, depth: usize) -> Result<Value, SdJwtError> {
        if depth > MAX_DEPTH {
            return Err(SdJwtError::TooLarge);
        }
        Ok(match value {
            Value::Object(map) => Value::Object(self.object(map, depth)?),
            Value::Array(values) => Value::Array(self.array(values, depth)?),
            leaf => leaf,
        })
    }

    fn object(&mut self, mut map: Map<String, Value>, depth: usize) -> Result<Map<String, Value>, SdJwtError> {
        let digests = map.remove("_sd");
        let mut out = Map::new();
        for (name, value) in map {
            // `_sd_alg` below the top and `...` outside an array mean nothing; a payload with them was not made by an
            // issuer that knows what it signs.
            if name == "_sd_alg" || name == "..." {
                return Err(SdJwtError::Reserved);
            }
            out.insert(name, self.value(value, depth + 1)?);
        }
        let digests = match digests {
            None => return Ok(out),
            Some(Value::Array(digests)) => digests,
            Some(_) => return Err(SdJwtError::Reserved),
        };
        for digest in digests {
            let Value::String(digest) = digest else { return Err(SdJwtError::Reserved) };
            let Some(disclosure) = self.refer(digest)? else { continue };
            let name = disclosure.name().ok_or(SdJwtError::Disclosure)?;
            if out.contains_key(name) {
                return Err(SdJwtError::Collision);
            }
            let value = self.value(disclosure.value().clone(), depth + 1)?;
            out.insert(name.to_owned(), value);
        }
        Ok(out)
    }

    fn array(&mut self, values: Vec<Value>, depth: usize) -> Result<Vec<Value>, SdJwtError> {
        let mut out = Vec::with_capacity(values.len());
        for value in values {
            let digest = match &value {
                Value::Object(map) if map.len() == 1 => map.get("..."),
                _ => None,
            };
            match digest {
                None => out.push(self.value(value, depth + 1)?),
                Some(Value::String(digest)) => {
                    let Some(disclosure) = self.refer(digest.clone())? else { continue };
                    if disclosure.name().is_some() {
                        return Err(SdJwtError::Disclosure);
                    }
                    out.push(self.value(disclosure.value().clone(), depth + 1)?);
                }
                Some(_) => return Err(SdJwtError::Reserved),
            }
        }
        Ok(out)
    }

    /// The disclosure of a digest, if it was given. A digest may be met once.
    fn refer(&mut self, digest: String) -> Result<Option<&'a Disclosure>, SdJwtError> {
        let disclosure = self.by_digest.remove(&digest);
        if self.met.insert(digest) { Ok(disclosure) } else { Err(SdJwtError::Duplicate) }
    }
}

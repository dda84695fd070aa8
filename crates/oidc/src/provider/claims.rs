//! The `claims` parameter (OpenID Connect Core section 5.5): what of it is heard here. Standard claims about a person are answered
//! without values, as the standard scopes are; answers are chosen by it as by a scope, within the purpose and the entitlement.

use super::authorization_details::VerificationDetail;
use super::request::Asked;
use super::verified_claims::{self, VerifiedRequest};
use super::{AuthorizationRequest, Call, Environment};
use crate::OAuthError;
use hufu_kernel::{Answer, Strength};
use hufu_wire::api::sign_in::acr;
use hufu_wire::jose::strict_value;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The longest parameter that is read, in bytes.
pub const MAX_CLAIMS: usize = 8 * 1024;

/// The longest `sub` there is (OpenID Connect Core section 2).
const MAX_SUB: usize = 255;

/// The longest list of `values`: a request is kept until its sign-in is over, and what it names with it.
pub const MAX_VALUES: usize = 16;

/// What of a request is still looked at when its tokens are used.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Wanted {
    /// `verified_claims` for userinfo.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub verified: Vec<VerifiedRequest>,
    /// `authorization_details`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<VerificationDetail>,
}

impl Wanted {
    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a `claims` parameter asks of this service.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClaimsRequest {
    /// The answers that it names under `hufu`, sorted.
    pub answers: Vec<Answer>,
    /// The elements of `verified_claims` that can be told.
    pub verified: Vec<VerifiedRequest>,
    /// Whoever signs in must be one of these; `None` is anybody.
    pub subs: Option<Vec<String>>,
    /// The values of `acr`: must it be one of them (section 5.5.1.1), and those that we know, weakest first. `None` where no value is
    /// named: `acr` is always told.
    pub acr: Option<(bool, Vec<Strength>)>,
}

impl ClaimsRequest {
    /// Reads the parameter.
    ///
    /// # Errors
    /// [`OAuthError::ClaimsMalformed`].
    pub fn read(text: &str) -> Result<Self, OAuthError> {
        let text = Some(text).filter(|text| text.len() <= MAX_CLAIMS);
        let value = text.and_then(|text| strict_value(text.as_bytes()).ok()).filter(Value::is_object);
        let value = value.ok_or(OAuthError::ClaimsMalformed)?;
        let mut read = Self::default();
        for place in ["id_token", "userinfo"] {
            let Some(claims) = value.get(place) else { continue };
            read.place(place, claims.as_object().ok_or(OAuthError::ClaimsMalformed)?)?;
        }
        read.answers.sort_unstable();
        read.answers.dedup();
        Ok(read)
    }

    /// The claims for one place. `verified_claims` for an ID token is passed over: it is the nodes', and has no place for them.
    fn place(&mut self, place: &str, claims: &Map<String, Value>) -> Result<(), OAuthError> {
        for (name, wish) in claims {
            match (name.as_str(), place) {
                ("verified_claims", "userinfo") => self.verified = verified_claims::read(wish)?,
                ("verified_claims", _) => {}
                // What stands here of others must have the shape, and is answered without a value.
                _ if !(wish.is_null() || wish.is_object()) || allowed(wish).is_err() => {
                    return Err(OAuthError::ClaimsMalformed);
                }
                ("hufu", _) => self.hufu(wish)?,
                ("sub", _) => self.sub(wish)?,
                ("acr", "id_token") => self.acr = known_acr(wish)?,
                _ => {
                    essential(wish)?;
                }
            }
        }
        Ok(())
    }

    /// `{"answers": {"age_over_18": null, …}}`: a member of our own, as section 5.5.1 lets be. Other names than ours are passed over.
    fn hufu(&mut self, wish: &Value) -> Result<(), OAuthError> {
        essential(wish)?;
        let Some(answers) = wish.get("answers") else { return Ok(()) };
        let answers = answers.as_object().ok_or(OAuthError::ClaimsMalformed)?;
        if !answers.values().all(|wish| wish.is_null() || wish.is_object()) {
            return Err(OAuthError::ClaimsMalformed);
        }
        self.answers.extend(answers.keys().filter_map(|name| name.parse::<Answer>().ok()));
        Ok(())
    }

    /// Each once; what no `sub` can be is left out. Where nobody is left the sign-in could only fail, and the person is not asked.
    fn sub(&mut self, wish: &Value) -> Result<(), OAuthError> {
        essential(wish)?;
        let Some(named) = texts(wish)? else { return Ok(()) };
        let possible = |sub: &&str| (1..=MAX_SUB).contains(&sub.len());
        let named: BTreeSet<&str> = named.into_iter().filter(possible).collect();
        if named.is_empty() {
            return Err(OAuthError::ClaimsMalformed);
        }
        let before = self.subs.as_deref();
        let both = named.into_iter().filter(|sub| before.is_none_or(|before| before.iter().any(|known| known == sub)));
        let both: Vec<String> = both.map(str::to_owned).collect();
        if both.is_empty() {
            return Err(OAuthError::OtherPerson);
        }
        self.subs = Some(both);
        Ok(())
    }

    /// The least strength of an `acr` that is wished for, not demanded.
    fn voluntary(&self) -> Option<Strength> {
        self.acr.as_ref().filter(|(essential, _)| !essential).and_then(|(_, known)| known.first().copied())
    }
}

/// Whether it is called essential.
fn essential(wish: &Value) -> Result<bool, OAuthError> {
    match wish.get("essential") {
        None => Ok(false),
        Some(essential) => essential.as_bool().ok_or(OAuthError::ClaimsMalformed),
    }
}

/// What `value` or `values` allow, at most [`MAX_VALUES`] (OpenID Connect Core section 5.5.1); `None` if neither stands there.
///
/// # Errors
/// [`OAuthError::ClaimsMalformed`] for both at once, for more, and for `values` that are no list.
pub(super) fn allowed(wish: &Value) -> Result<Option<&[Value]>, OAuthError> {
    match (wish.get("value"), wish.get("values")) {
        (None, None) => Ok(None),
        (Some(one), None) => Ok(Some(std::slice::from_ref(one))),
        (None, Some(Value::Array(many))) if many.len() <= MAX_VALUES => Ok(Some(many)),
        _ => Err(OAuthError::ClaimsMalformed),
    }
}

/// The texts of `value` or `values`; `None` if neither stands there.
fn texts(wish: &Value) -> Result<Option<Vec<&str>>, OAuthError> {
    let Some(values) = allowed(wish)? else { return Ok(None) };
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    texts.map(Some).ok_or(OAuthError::ClaimsMalformed)
}

fn known_acr(wish: &Value) -> Result<Option<(bool, Vec<Strength>)>, OAuthError> {
    let essential = essential(wish)?;
    let Some(values) = texts(wish)? else { return Ok(None) };
    let known = Strength::ALL.iter().filter(|strength| values.contains(&acr(**strength)));
    Ok(Some((essential, known.copied().collect())))
}

impl AuthorizationRequest {
    /// Why the platform does not want this sign-in, if it does not: somebody else came, or with another strength than it demands.
    #[must_use]
    pub fn unwanted(&self, sub: &str, strength: Strength) -> Option<OAuthError> {
        let hinted = self.hinted_sub.as_ref().is_none_or(|hinted| hinted == sub);
        let named = self.subs.as_ref().is_none_or(|subs| subs.iter().any(|named| named == sub));
        if !(hinted && named) {
            return Some(OAuthError::OtherPerson);
        }
        let demanded = self.acr.is_empty() || self.acr.contains(&strength);
        (!demanded).then_some(OAuthError::ClaimsStrength)
    }
}

/// The parameter of a request.
pub(super) fn check(_: &Environment<'_>, call: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    if let Some(text) = call.form.get("claims") {
        asked.claims = ClaimsRequest::read(text)?;
        asked.request.subs.clone_from(&asked.claims.subs);
    }
    Ok(())
}

/// Once `acr_values` has been read: the strength that satisfies everything in the request that asks for one.
pub(super) fn strength(_: &Environment<'_>, _: &Call<'_>, asked: &mut Asked) -> Result<(), OAuthError> {
    let detailed = asked.request.wanted.details.as_ref().and_then(|detail| detail.strength);
    let needed = asked.request.strength.max(detailed).max(asked.claims.voluntary());
    asked.request.strength = needed;
    if let Some((true, known)) = &asked.claims.acr {
        let fits = |strength: &&Strength| needed.is_none_or(|needed| **strength >= needed);
        asked.request.acr = known.iter().filter(fits).copied().collect();
        // The weakest that is demanded and suffices for the rest.
        asked.request.strength = Some(*asked.request.acr.first().ok_or(OAuthError::ClaimsStrength)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<ClaimsRequest, OAuthError> {
        ClaimsRequest::read(&value.to_string())
    }

    #[test]
    fn what_is_not_ours_is_passed_over() {
        for value in [
            json!({}),
            json!({ "id_token": {}, "userinfo": {} }),
            json!({ "userinfo": { "name": { "essential": true }, "email": null, "picture": { "purpose": "x" } } }),
            json!({ "id_token": { "auth_time": { "essential": true }, "birthdate": { "value": "2000-01-01" } } }),
            json!({ "elsewhere": 1, "userinfo": { "acr": { "essential": true, "value": "x" } } }),
            json!({ "id_token": { "acr": null, "sub": null, "hufu": null, "verified_claims": {} } }),
        ] {
            assert_eq!(read(&value), Ok(ClaimsRequest::default()), "{value}");
        }
    }

    #[test]
    fn answers_are_chosen_by_name_and_once() {
        let wish = json!({ "answers": { "real": null, "photo": null, "age_over_18": { "essential": true } } });
        let chosen = read(&json!({ "id_token": { "hufu": wish }, "userinfo": { "hufu": wish } })).unwrap();
        assert_eq!(chosen.answers, [Answer::Real, Answer::AgeOver18]);
    }

    #[test]
    fn a_person_is_meant_by_value_and_by_both_places() {
        let subs = |id_token: Value, userinfo: Value| {
            read(&json!({ "id_token": { "sub": id_token }, "userinfo": { "sub": userinfo } })).unwrap().subs
        };
        let owned = |subs: &[&str]| Some(subs.iter().map(|sub| (*sub).to_owned()).collect::<Vec<_>>());
        assert_eq!(subs(json!({ "value": "a" }), Value::Null), owned(&["a"]));
        assert_eq!(subs(json!({ "values": ["a", "b"] }), json!({ "values": ["b", "c"] })), owned(&["b"]));
        let possible = json!({ "values": ["b", "", "a", "b", "x".repeat(MAX_SUB + 1), "a"] });
        assert_eq!(subs(possible, Value::Null), owned(&["a", "b"]), "each once, and none that nobody can have");
    }

    #[test]
    fn a_request_that_nobody_can_meet_is_refused() {
        let refused = |claims: Value, why: OAuthError| assert_eq!(read(&claims), Err(why), "{claims}");
        let two = |one: Value, other: Value| json!({ "id_token": { "sub": one }, "userinfo": { "sub": other } });
        for nobody in [
            json!({ "values": [] }),
            json!({ "value": "" }),
            json!({ "value": "x".repeat(MAX_SUB + 1) }),
            json!({ "values": ["", "x".repeat(MAX_SUB + 1)] }),
        ] {
            refused(two(nobody, Value::Null), OAuthError::ClaimsMalformed);
        }
        refused(two(json!({ "value": "a" }), json!({ "value": "b" })), OAuthError::OtherPerson);
        refused(two(json!({ "values": ["a", "b"] }), json!({ "values": ["c"] })), OAuthError::OtherPerson);
    }

    #[test]
    fn the_values_of_acr_are_those_we_know_weakest_first() {
        let acr = |wish: Value| read(&json!({ "id_token": { "acr": wish } })).unwrap().acr;
        let (weak, strong) = ("urn:hufu:acr:certificate", "urn:hufu:acr:certificate+password");
        assert_eq!(acr(json!({ "essential": true })), None);
        assert_eq!(acr(json!({ "value": strong })), Some((false, vec![Strength::CertificatePassword])));
        let both = json!({ "essential": true, "values": [strong, "x", weak] });
        assert_eq!(acr(both), Some((true, vec![Strength::Certificate, Strength::CertificatePassword])));
        assert_eq!(acr(json!({ "essential": true, "values": ["x"] })), Some((true, vec![])));
    }

    #[test]
    fn what_is_no_claims_request_is_refused() {
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_CLAIMS));
        let many = json!({ "id_token": { "sub": { "values": vec!["a"; MAX_VALUES + 1] } } }).to_string();
        for text in [
            "",
            "x",
            "[]",
            "null",
            r#"{"id_token":1}"#,
            r#"{"userinfo":[]}"#,
            r#"{"userinfo":{"name":true}}"#,
            r#"{"userinfo":{"name":{"essential":"yes"}}}"#,
            r#"{"id_token":{"sub":{"value":1}}}"#,
            r#"{"id_token":{"sub":{"value":"a","values":["a"]}}}"#,
            r#"{"id_token":{"acr":{"values":"a"}}}"#,
            r#"{"userinfo":{"birthdate":{"value":"a","values":["a"]}}}"#,
            &many,
            r#"{"id_token":{"hufu":{"answers":["real"]}}}"#,
            r#"{"id_token":{"hufu":{"answers":{"real":true}}}}"#,
            r#"{"userinfo":{"verified_claims":{}}}"#,
            r#"{"id_token":{"acr":null,"acr":null}}"#,
            r#"{"id_token":{}} x"#,
            &"[".repeat(4000),
            &long,
        ] {
            assert_eq!(ClaimsRequest::read(text), Err(OAuthError::ClaimsMalformed), "{text}");
        }
    }

    #[test]
    fn nobody_else_and_no_other_strength_is_wanted() {
        let request = |subs: Option<&[&str]>, acr: &[Strength]| AuthorizationRequest {
            subs: subs.map(|subs| subs.iter().map(|sub| (*sub).to_owned()).collect()),
            acr: acr.to_vec(),
            ..AuthorizationRequest::default()
        };
        let weak = Strength::Certificate;
        assert_eq!(request(None, &[]).unwanted("a", weak), None);
        assert_eq!(request(Some(&["a", "b"]), &[weak]).unwanted("b", weak), None);
        assert_eq!(request(Some(&["a"]), &[]).unwanted("b", weak), Some(OAuthError::OtherPerson));
        assert_eq!(request(Some(&[]), &[]).unwanted("b", weak), Some(OAuthError::OtherPerson));
        let strong = Strength::CertificatePassword;
        assert_eq!(request(None, &[weak]).unwanted("a", strong), Some(OAuthError::ClaimsStrength));
        let hinted = AuthorizationRequest { hinted_sub: Some("b".to_owned()), ..request(Some(&["a"]), &[]) };
        for sub in ["a", "b"] {
            assert_eq!(hinted.unwanted(sub, weak), Some(OAuthError::OtherPerson), "{sub} is one of two");
        }
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_what_was_named(picked in 0_u8..64, names in proptest::collection::vec("[a-z]{1,8}", 0..4)) {
            let ours: Vec<Answer> =
                Answer::ALL.iter().enumerate().filter(|(at, _)| (picked >> at) & 1 == 1).map(|(_, answer)| *answer).collect();
            let mut answers: Map<String, Value> = ours.iter().map(|a| (a.as_str().to_owned(), Value::Null)).collect();
            let others = names.into_iter().filter(|name| name.parse::<Answer>().is_err());
            answers.extend(others.map(|name| (name, json!({ "essential": true }))));
            let chosen = read(&json!({ "userinfo": { "hufu": { "answers": answers } } })).unwrap();
            prop_assert_eq!(chosen, ClaimsRequest { answers: ours, ..ClaimsRequest::default() });
        }

        #[test]
        fn no_text_makes_the_parser_fall_over(text in r#"\{("(id_token|userinfo|sub|acr|hufu|value|verified_claims)":|[\[\]{},"a-z0-9 ]){0,30}"#) {
            let _ = ClaimsRequest::read(&text);
        }
    }
}

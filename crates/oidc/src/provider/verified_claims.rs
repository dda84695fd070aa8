//! `verified_claims` (OpenID Connect for Identity Assurance 1.0) at userinfo: the answers of a sign-in, as claims that this service
//! vouches for. ID tokens never hold them: their bytes are the nodes', which build the documented members and no other.

use super::claims::allowed;
use crate::OAuthError;
use hufu_kernel::{AgeBand, Answer};
use hufu_wire::api::sign_in::Answers;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The trust framework: the rules of `rules/` and of the two nodes that answer by them.
pub const TRUST_FRAMEWORK: &str = "urn:hufu:trust-framework:1";

/// More elements than any request has; a bound on what is kept of one.
const MAX_ELEMENTS: usize = 8;

/// The value of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Said {
    /// Yes or no.
    Is(bool),
    /// An age band.
    Band(AgeBand),
}

/// One `verified_claims` element that a platform asks for, whose demands are met whatever the answers are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VerifiedRequest {
    /// Its claims: the answers they tell, sorted.
    pub claims: Vec<Answer>,
}

/// The name of an answer as a claim.
#[must_use]
pub fn claim_name(answer: Answer) -> &'static str {
    match answer {
        Answer::Real => "is_real_person",
        Answer::Unique => "is_unique_person",
        Answer::Alive => "is_alive",
        Answer::AgeOver18 => "age_over_18",
        Answer::AgeBand => "age_band",
        Answer::GuardianConsent => "guardian_consent",
    }
}

/// The value of an answer in a result, if it was given.
#[must_use]
pub fn said(answers: &Answers, answer: Answer) -> Option<Said> {
    let Answers { real, unique, alive, age_over_18, age_band, guardian_consent } = answers;
    match answer {
        Answer::Real => real.map(Said::Is),
        Answer::Unique => unique.map(Said::Is),
        Answer::Alive => alive.map(Said::Is),
        Answer::AgeOver18 => age_over_18.map(Said::Is),
        Answer::AgeBand => age_band.map(Said::Band),
        Answer::GuardianConsent => guardian_consent.map(Said::Is),
    }
}

/// Reads what stands under `verified_claims` of a request: an element, or a list of them. Elements whose demands cannot be met are left
/// out, as are claims that are none of ours (sections 5.7.2, 5.7.4, 5.7.5).
///
/// # Errors
/// [`OAuthError::ClaimsMalformed`] for anything that is no request (section 5).
pub(super) fn read(value: &Value) -> Result<Vec<VerifiedRequest>, OAuthError> {
    let elements = match value {
        Value::Array(elements) if (1..=MAX_ELEMENTS).contains(&elements.len()) => elements.as_slice(),
        Value::Object(_) => std::slice::from_ref(value),
        _ => return Err(OAuthError::ClaimsMalformed),
    };
    let read = elements.iter().map(element).collect::<Result<Vec<_>, _>>()?;
    Ok(read.into_iter().flatten().collect())
}

/// The requests with the claims that `may` be asked, and those that have any left.
pub(super) fn within(requests: &[VerifiedRequest], may: impl Fn(&Answer) -> bool) -> Vec<VerifiedRequest> {
    let kept = requests.iter().map(|request| VerifiedRequest {
        claims: request.claims.iter().filter(|answer| may(answer)).copied().collect(),
    });
    kept.filter(|request| !request.claims.is_empty()).collect()
}

/// An element that demands a value of an answer is left out too: userinfo and the ID token tell every answer in `hufu`, so that one of
/// another value than the demanded would be delivered all the same (section 5.5.1).
fn element(value: &Value) -> Result<Option<VerifiedRequest>, OAuthError> {
    let object = |name: &str| value.get(name).and_then(Value::as_object).ok_or(OAuthError::ClaimsMalformed);
    let (verification, claims) = (object("verification")?, object("claims")?);
    if claims.is_empty() || !claims.values().all(|claim| claim.is_null() || claim.is_object()) {
        return Err(OAuthError::ClaimsMalformed);
    }
    let (mut met, mut request) = (met(verification)?, VerifiedRequest { claims: Vec::new() });
    for (name, claim) in claims {
        let demanded = allowed(claim)?.is_some();
        let Some(answer) = Answer::ALL.iter().find(|answer| claim_name(**answer) == name) else { continue };
        met &= !demanded;
        request.claims.push(*answer);
    }
    request.claims.sort_unstable();
    Ok((met && !request.claims.is_empty()).then_some(request))
}

/// Whether a verification of ours is what is asked for. We name the trust framework and nothing else: a demand on anything else is not
/// met; a wish without a demand is passed over. What is no wish (a bare text, say) may have been meant as a demand, and is refused.
fn met(verification: &Map<String, Value>) -> Result<bool, OAuthError> {
    let mut met = true;
    for (name, wish) in verification {
        let listed = name == "evidence" && wish.is_array();
        if !(wish.is_null() || wish.is_object() || listed) {
            return Err(OAuthError::ClaimsMalformed);
        }
        met &= match (name.as_str(), allowed(wish)?) {
            ("trust_framework", Some(wanted)) => wanted.iter().any(|value| value == TRUST_FRAMEWORK),
            ("trust_framework", None) => true,
            _ => !demands(wish),
        };
    }
    Ok(met)
}

/// Whether a value is demanded anywhere in it, a bare one being taken for a demand. Its depth is bounded by the parser.
fn demands(wish: &Value) -> bool {
    match wish {
        Value::Null => false,
        Value::Object(members) => members.iter().any(|(name, wish)| match name.as_str() {
            "value" | "values" | "max_age" => true,
            "essential" => false,
            _ => demands(wish),
        }),
        Value::Array(items) => items.iter().any(demands),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// The element of the answer: what was asked for, agreed to and given, and nothing where nothing is left (section 5.7.5).
#[must_use]
pub(super) fn told(requests: &[VerifiedRequest], answers: &Answers) -> Option<Value> {
    let one = |request: &VerifiedRequest| {
        let given = request.claims.iter().filter_map(|answer| {
            let said = said(answers, *answer)?;
            Some((claim_name(*answer).to_owned(), json!(said)))
        });
        let claims: Map<String, Value> = given.collect();
        (!claims.is_empty())
            .then(|| json!({ "verification": { "trust_framework": TRUST_FRAMEWORK }, "claims": claims }))
    };
    let mut elements: Vec<Value> = requests.iter().filter_map(one).collect();
    match elements.len() {
        0 => None,
        1 => elements.pop(),
        _ => Some(Value::Array(elements)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(verification: Value, claims: Value) -> Vec<VerifiedRequest> {
        read(&json!({ "verification": verification, "claims": claims })).unwrap()
    }

    fn answers() -> Answers {
        Answers {
            real: Some(true),
            age_over_18: Some(false),
            age_band: Some(AgeBand::From14To17),
            ..Answers::default()
        }
    }

    #[test]
    fn what_was_asked_and_given_is_told_and_nothing_else() {
        let all: Map<String, Value> =
            Answer::ALL.iter().map(|answer| (claim_name(*answer).to_owned(), Value::Null)).collect();
        let wanted = asked(json!({ "trust_framework": null }), Value::Object(all));
        let told = told(&wanted, &answers()).unwrap();
        assert_eq!(told["verification"], json!({ "trust_framework": TRUST_FRAMEWORK }));
        let claims = json!({ "is_real_person": true, "age_over_18": false, "age_band": "14_to_17" });
        assert_eq!(told["claims"], claims);
    }

    #[test]
    fn claims_of_other_names_are_left_out() {
        let framework = || json!({ "trust_framework": null });
        let wanted =
            asked(framework(), json!({ "given_name": { "value": "x" }, "is_real_person": { "essential": true } }));
        assert_eq!(told(&wanted, &answers()).unwrap()["claims"], json!({ "is_real_person": true }));
        assert!(asked(framework(), json!({ "given_name": null })).is_empty());
        let ungiven = asked(json!({}), json!({ "is_alive": null }));
        assert_eq!(told(&ungiven, &answers()), None, "an element without claims is none");
    }

    #[test]
    fn an_element_that_demands_a_value_of_an_answer_is_left_out_whole() {
        for demand in [json!({ "value": true }), json!({ "values": [true, false] }), json!({ "values": [] })] {
            for name in ["is_real_person", "age_over_18", "age_band"] {
                let mut claims = json!({ "is_unique_person": null });
                claims[name] = demand.clone();
                assert!(asked(json!({ "trust_framework": null }), claims).is_empty(), "{name}: {demand}");
            }
        }
        // The control.
        assert_eq!(asked(json!({}), json!({ "is_unique_person": null, "age_over_18": null })).len(), 1);
    }

    #[test]
    fn another_verification_than_ours_is_not_told_as_ours() {
        let claims = || json!({ "is_real_person": null });
        for verification in [
            json!({ "trust_framework": null }),
            json!({ "trust_framework": { "value": TRUST_FRAMEWORK } }),
            json!({ "trust_framework": { "values": ["eidas", TRUST_FRAMEWORK] }, "time": null }),
            json!({ "trust_framework": null, "evidence": [{ "type": null }] }),
            json!({ "trust_framework": { "essential": true }, "time": { "essential": true } }),
        ] {
            assert_eq!(asked(verification.clone(), claims()).len(), 1, "{verification}");
        }
        for verification in [
            json!({ "trust_framework": { "value": "eidas" } }),
            json!({ "trust_framework": { "values": [] } }),
            json!({ "trust_framework": null, "time": { "max_age": 60 } }),
            json!({ "trust_framework": null, "assurance_level": { "value": "high" } }),
            json!({ "trust_framework": null, "evidence": [{ "type": { "value": "document" } }] }),
            json!({ "trust_framework": null, "evidence": [{ "type": "document" }] }),
        ] {
            assert!(asked(verification.clone(), claims()).is_empty(), "{verification}");
        }
    }

    #[test]
    fn several_elements_are_told_as_a_list() {
        let element = |framework: &str, claim: &str| json!({ "verification": { "trust_framework": { "value": framework } }, "claims": { claim: null } });
        let wanted = read(&json!([
            element(TRUST_FRAMEWORK, "is_real_person"),
            element("eidas", "is_real_person"),
            element(TRUST_FRAMEWORK, "age_over_18"),
        ]));
        let told = told(&wanted.unwrap(), &answers()).unwrap();
        assert_eq!(told[0]["claims"], json!({ "is_real_person": true }));
        assert_eq!(told[1]["claims"], json!({ "age_over_18": false }));
        assert_eq!(told.as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let of =
            |verification: Value, wish: Value| json!({ "verification": verification, "claims": { "is_alive": wish } });
        for value in [
            json!(null),
            json!("x"),
            json!([]),
            json!({}),
            json!({ "claims": { "is_alive": null } }),
            json!({ "verification": {} }),
            json!({ "verification": {}, "claims": {} }),
            json!({ "verification": {}, "claims": { "is_alive": true } }),
            json!({ "verification": null, "claims": { "is_alive": null } }),
            json!([[]]),
            of(json!({ "trust_framework": "eidas" }), json!(null)),
            of(json!({ "trust_framework": [{ "value": "eidas" }] }), json!(null)),
            of(json!({ "trust_framework": null, "assurance_level": "high" }), json!(null)),
            of(json!({ "trust_framework": { "value": "eidas", "values": [TRUST_FRAMEWORK] } }), json!(null)),
            of(json!({ "trust_framework": { "values": TRUST_FRAMEWORK } }), json!(null)),
            of(json!({ "trust_framework": { "values": vec![TRUST_FRAMEWORK; 17] } }), json!(null)),
            of(json!({}), json!({ "value": true, "values": [true] })),
            Value::Array(vec![json!({ "verification": {}, "claims": { "is_alive": null } }); MAX_ELEMENTS + 1]),
        ] {
            assert_eq!(read(&value), Err(OAuthError::ClaimsMalformed), "{value}");
        }
    }

    #[test]
    fn every_answer_has_a_claim_of_its_own_name() {
        let names: std::collections::BTreeSet<_> = Answer::ALL.iter().map(|answer| claim_name(*answer)).collect();
        assert_eq!(names.len(), Answer::ALL.len());
    }
}

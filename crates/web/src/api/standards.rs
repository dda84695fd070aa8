//! Which standard an error comes from: the ones its sentence names, and the one that defines its code or status.

/// How a standard's name begins.
const NAMES: [&str; 10] = [
    "RFC ",
    "FAPI 2.0 ",
    "OpenID Connect ",
    "Identity Assurance ",
    "WebAuthn ",
    "GB ",
    "GA ",
    "ICAO ",
    "Order 173 ",
    "JARM ",
];

/// The standards that a sentence names, in its order.
pub(crate) fn named(text: &str) -> Vec<&str> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    for name in NAMES {
        for (at, _) in text.match_indices(name) {
            let apart = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
            if apart {
                found.push((at, until_it_ends(&text[at..])));
            }
        }
    }
    found.sort_unstable();
    found.dedup_by_key(|(_, name)| *name);
    found.into_iter().map(|(_, name)| name).collect()
}

/// Up to the punctuation after a name; a dot inside a number is none.
fn until_it_ends(text: &str) -> &str {
    let ends = |(at, c): (usize, char)| match c {
        ',' | ';' | ':' | '(' | ')' => true,
        '.' => text[at + 1..].chars().next().is_none_or(char::is_whitespace),
        _ => false,
    };
    let end = text.char_indices().find(|one| ends(*one)).map_or(text.len(), |(at, _)| at);
    let text = text[..end].trim_end();
    text.find(" and ").map_or(text, |at| &text[..at])
}

/// Where a code of OAuth is defined.
pub(crate) fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_request"
        | "invalid_client"
        | "invalid_grant"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope" => "RFC 6749 section 5.2",
        "unsupported_response_type" | "access_denied" | "server_error" | "temporarily_unavailable" => {
            "RFC 6749 section 4.1.2.1"
        }
        "invalid_token" | "insufficient_scope" => "RFC 6750 section 3.1",
        "invalid_request_uri"
        | "invalid_request_object"
        | "request_not_supported"
        | "request_uri_not_supported"
        | "registration_not_supported"
        | "login_required"
        | "interaction_required"
        | "consent_required" => "OpenID Connect Core section 3.1.2.6",
        "invalid_dpop_proof" => "RFC 9449 section 5",
        "use_dpop_nonce" => "RFC 9449 section 8",
        "authorization_pending"
        | "slow_down"
        | "expired_token"
        | "unknown_user_id"
        | "invalid_user_code"
        | "missing_user_code"
        | "invalid_binding_message" => "OpenID Connect CIBA Core sections 11, 13",
        "unmet_authentication_requirements" => "OpenID Connect Core Error Code unmet_authentication_requirements",
        "invalid_authorization_details" => "RFC 9396 section 5",
        "insufficient_user_authentication" => "RFC 9470 section 3",
        "invalid_target" => "RFC 8707 section 2",
        _ => return None,
    })
}

/// Where a status is defined.
pub(crate) fn of_status(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "RFC 9110 section 15.5.1",
        401 => "RFC 9110 section 15.5.2",
        403 => "RFC 9110 section 15.5.4",
        404 => "RFC 9110 section 15.5.5",
        409 => "RFC 9110 section 15.5.10",
        410 => "RFC 9110 section 15.5.11",
        413 => "RFC 9110 section 15.5.14",
        422 => "RFC 9110 section 15.5.21",
        429 => "RFC 6585 section 4",
        500 => "RFC 9110 section 15.6.1",
        502 => "RFC 9110 section 15.6.3",
        503 => "RFC 9110 section 15.6.4",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_kernel::Refusal;
    use hufu_offices::front::OAuthError;

    #[test]
    fn names_are_taken_out_of_sentences_whole() {
        for (text, names) in [
            ("A parameter stands more than once (RFC 6749 section 3.1).", vec!["RFC 6749 section 3.1"]),
            (
                "claims in which (OpenID Connect Core section 5.5), and so on (Identity Assurance section 5).",
                vec!["OpenID Connect Core section 5.5", "Identity Assurance section 5"],
            ),
            (
                "A DPoP proof is required (RFC 9449, FAPI 2.0 section 5.3.2.1).",
                vec!["RFC 9449", "FAPI 2.0 section 5.3.2.1"],
            ),
            ("Fails a check of RFC 9449 section 4.3: typ, alg.", vec!["RFC 9449 section 4.3"]),
            ("Above the limit (64 KiB unless documented otherwise).", vec![]),
            ("Syntax of its type (GB 11643, GA 704, ICAO 9303).", vec!["GB 11643", "GA 704", "ICAO 9303"]),
        ] {
            assert_eq!(named(text), names, "{text}");
        }
    }

    #[test]
    fn every_error_has_a_section_of_a_standard() {
        for error in OAuthError::ALL {
            assert!(of_code(error.code()).is_some(), "{}", error.code());
        }
        for refusal in Refusal::ALL {
            assert!(of_status(refusal.text().status).is_some(), "{}", refusal.code());
        }
    }
}

//! `hufu explain`: what an error code, or the error number on a person's screen, means and what to do.

use crate::error_log;
use crate::failure::Failure;
use hufu_kernel::{Blame, Lang, Refusal};
use hufu_oidc::OAuthError;
use std::fmt::Write as _;
use std::path::Path;

/// The explanation of a code, or of an error number noted in `folder`.
///
/// # Errors
/// [`Failure::Other`] for something that is neither.
pub fn explain(code_or_id: &str, folder: &Path) -> Result<String, Failure> {
    if let Some(refusal) = Refusal::from_code(code_or_id) {
        return Ok(describe(refusal));
    }
    if OAuthError::ALL.iter().any(|error| error.code() == code_or_id) {
        return Ok(describe_oauth(code_or_id));
    }
    let code = error_log::find(folder, code_or_id)?.ok_or_else(|| {
        Failure::other(format!(
            "{code_or_id} is neither an error code nor an error number noted in {}; `hufu explain --list` shows all codes",
            folder.join(error_log::FILE).display()
        ))
    })?;
    match Refusal::from_code(&code) {
        Some(refusal) => Ok(format!("{code_or_id} was answered with {code}.\n\n{}", describe(refusal))),
        None => Ok(format!("{code_or_id} was answered with {code}, a code of another version of Hufu.\n")),
    }
}

/// All codes: refusals with their English sentences, then OAuth's errors with every cause.
#[must_use]
pub fn list() -> String {
    let refusals = Refusal::ALL.iter().map(|refusal| {
        let text = refusal.text();
        format!("{:<24} {}  {}\n", text.code, text.status, text.en)
    });
    let errors = OAuthError::ALL
        .iter()
        .map(|error| format!("{:<24} {}  {}\n", error.code(), error.status(), error.description()));
    refusals.chain(["\n".to_owned()]).chain(errors).collect()
}

/// One `error` of OAuth stands for several causes; the answer's `error_description` says which it was.
fn describe_oauth(code: &str) -> String {
    let causes = OAuthError::ALL.iter().filter(|error| error.code() == code);
    let heading = format!("{code} (OAuth; the platform's engineers read which cause it was in error_description)\n\n");
    causes.fold(heading, |mut out, error| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  HTTP {}  {}", error.status(), error.description());
        out
    })
}

fn describe(refusal: Refusal) -> String {
    let text = refusal.text();
    let move_of = match text.blame {
        Blame::Person => "the person can mend it",
        Blame::Platform => "the platform's engineers can mend it",
        Blame::Caller => "the calling program is wrong, or was tampered with",
        Blame::Service => "the service, or a part of it that is down",
    };
    format!(
        "{} (HTTP {}; {move_of})\n\n  {}\n\n  zh-Hans  {}\n  en       {}\n",
        text.code,
        text.status,
        text.developer,
        refusal.sentence(Lang::ZhHans),
        refusal.sentence(Lang::En),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hufu_web::reply::ErrorLog;

    #[test]
    fn codes_and_noted_numbers_are_explained_in_both_languages() {
        let folder = tempfile::tempdir().unwrap();
        error_log::FileLog::open(folder.path()).unwrap().note("0abc", "stale_time");
        for asked in ["stale_time", "0abc"] {
            let text = explain(asked, folder.path()).unwrap();
            for part in
                [Refusal::StaleTime.text().zh, Refusal::StaleTime.text().en, Refusal::StaleTime.text().developer]
            {
                assert!(text.contains(part), "{asked}: {text}");
            }
        }
        assert!(explain("nothing", folder.path()).is_err());
    }

    #[test]
    fn an_error_of_oauth_is_explained_with_all_its_causes_and_listed() {
        let folder = tempfile::tempdir().unwrap();
        let (grant, listed) = (explain("invalid_grant", folder.path()).unwrap(), list());
        for error in OAuthError::ALL {
            assert_eq!(error.code() == "invalid_grant", grant.contains(error.description()), "{}", error.name());
            assert!(listed.contains(error.description()));
        }
    }
}

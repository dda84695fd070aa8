//! docs/connect/refusals.md says what the code says: its two tables and the output of `hufu explain`.

use crate::source::project;
use hufu_app::error_log::FileLog;
use hufu_app::explain::explain;
use hufu_kernel::{Blame, Refusal};
use hufu_oidc::OAuthError;
use hufu_web::reply::ErrorLog;

const PAGE: &str = "docs/connect/refusals.md";

fn page() -> String {
    std::fs::read_to_string(project().join(PAGE)).unwrap()
}

fn oauth() -> String {
    let row = |error: &OAuthError| {
        let way = if error.may_redirect() { "redirect" } else { "answer" };
        format!("| `{}` | {} | {way} | {} |\n", error.code(), error.status(), error.description())
    };
    let rows: String = OAuthError::ALL.iter().map(row).collect();
    format!("| error | HTTP | may come by | error_description |\n|---|---|---|---|\n{rows}")
}

fn refusals() -> String {
    let row = |refusal: &Refusal| {
        let text = refusal.text();
        let who = match text.blame {
            Blame::Person => "person",
            Blame::Platform => "platform",
            Blame::Caller => "caller",
            Blame::Service => "service",
        };
        format!("| `{}` | {} | {who} | {}<br>{} | {} |\n", text.code, text.status, text.zh, text.en, text.developer)
    };
    let rows: String = Refusal::ALL.iter().map(row).collect();
    format!("| code | HTTP | who | the person reads | the rule |\n|---|---|---|---|---|\n{rows}")
}

/// The page with what the code says between the markers.
fn written(page: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&open).unwrap();
    let (_, after) = rest.split_once(&close).unwrap();
    format!("{before}{open}{table}{close}{after}")
}

/// The page with real output under each `$ hufu explain WHAT`; an error number is noted as `platform_request` first.
fn explained(page: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let log = FileLog::open(folder.path()).unwrap();
    let mut blocks: Vec<String> = page.split("```").map(str::to_owned).collect();
    let mut examples = 0;
    for block in &mut blocks {
        if let Some(rest) = block.strip_prefix("\n$ hufu explain ") {
            let asked = rest.lines().next().unwrap().to_owned();
            if asked.bytes().any(|b| b.is_ascii_digit()) {
                log.note(&asked, Refusal::PlatformRequest.code());
            }
            *block = format!("\n$ hufu explain {asked}\n{}", explain(&asked, folder.path()).unwrap());
            examples += 1;
        }
    }
    assert_eq!(examples, 2);
    blocks.join("```")
}

#[test]
fn the_page_of_refusals_says_what_the_code_says() {
    let page = page();
    let wanted = explained(&written(&written(&page, "oauth", &oauth()), "refusals", &refusals()));
    if std::env::var_os("HUFU_BLESS").is_some() {
        std::fs::write(project().join(PAGE), &wanted).unwrap();
        return;
    }
    let difference = wanted.lines().zip(page.lines()).find(|(wanted, is)| wanted != is);
    assert!(wanted == page, "HUFU_BLESS=1 writes {PAGE}; the first difference: {difference:?}");
}

#[test]
fn a_refusal_that_the_page_leaves_out_or_words_otherwise_is_noticed() {
    let page = page();
    let code = format!("`{}`", Refusal::VetoPeriod.code());
    let without: String = page.lines().filter(|line| !line.contains(&code)).map(|line| format!("{line}\n")).collect();
    assert_ne!(without, page);
    let reworded = page.replacen("it lives 60 seconds", "it lives 90 seconds", 1);
    assert_ne!(reworded, page);
    for spoilt in [without, reworded] {
        let wanted = explained(&written(&written(&spoilt, "oauth", &oauth()), "refusals", &refusals()));
        assert_ne!(wanted, spoilt);
    }
}

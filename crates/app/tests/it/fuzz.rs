//! What operators write, and what comes back to them from a disk or another machine: beginning at sound files, nothing makes a parser
//! fall over. What an office's programs say to each other is in crates/wire/tests/it/fuzz_messages.rs.

use crate::mutants::hold;
use hufu_app::demo::metrics::MetricsAt;
use hufu_app::deployment::drafts::{Draft, DraftOperator};
use hufu_app::deployment::office_file::OfficeFile;
use hufu_app::deployment::plan::Plan;
use hufu_app::deployment::world_file::WorldFile;
use hufu_app::root::OFFICES;
use hufu_app::server::Server;
use hufu_domain::rules::Rules;
use hufu_kernel::{Octets, Root};
use std::collections::BTreeMap;

fn draft() -> Draft {
    let offices = OFFICES.into_iter().map(str::to_owned).collect();
    let operator = DraftOperator { key: Octets([1; 32]), offices, host: None, listen: None };
    let operators = BTreeMap::from([("operator-1".to_owned(), operator)]);
    Draft { root: Root::Sandbox, root_id: Octets([7; 16]), host: None, port: 8420, operators }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[test]
fn fuzz_configurations_of_offices() {
    let draft = draft();
    let samples = OFFICES.into_iter().map(|office| draft.office_text(office).into_bytes()).collect();
    hold(samples, |bytes| {
        if let Ok(file) = OfficeFile::parse(&text(bytes)) {
            let limits = file.limits;
            assert_eq!(limits.of_addresses().wallet.is_some(), limits.address_wallet > 0);
            assert_eq!(limits.of_callers().client.is_some(), limits.platform > 0);
        }
    });
}

#[test]
fn fuzz_plans_and_worlds() {
    let draft = draft();
    hold(vec![draft.plan_text().into_bytes(), draft.world_text().into_bytes()], |bytes| {
        let _ = (Plan::parse(&text(bytes)), WorldFile::parse(&text(bytes)));
    });
}

#[test]
fn fuzz_rules() {
    let [enrolment, certificate, recovery] =
        Rules::FILES.map(|name| std::fs::read(crate::source::project().join("rules").join(name)).unwrap());
    // The three files as one text, which is parted again.
    hold(vec![[enrolment, certificate, recovery].join(&b"\x00"[..])], |bytes| {
        let text = text(bytes);
        let mut parts = text.split('\0');
        let mut next = || parts.next().unwrap_or_default();
        let _ = Rules::parse([next(), next(), next()]);
    });
}

#[test]
fn fuzz_flags() {
    let samples: [&[u8]; 3] = [b"postgres://hufu:secret@db.example:5432/hufu", b"127.0.0.1:9464", b"off"];
    hold(samples.map(<[u8]>::to_vec).to_vec(), |bytes| {
        let text = text(bytes);
        let _ = (text.parse::<Server>().map(|server| server.to_string()), text.parse::<MetricsAt>());
    });
}

/// What reads bytes or text from outside in these sources: `Type::parser` of every `impl`, `parse::<Type>` where that is the only way, and
/// functions that read a body.
fn parsers(sources: &[(std::path::PathBuf, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (_, source) in sources {
        let mut of = String::new();
        for line in source.lines() {
            if let Some(head) = line.strip_prefix("impl") {
                let head = if head.starts_with('<') { head.split_once('>').unwrap_or_default().1 } else { head };
                let name = head.rsplit(" for ").next().unwrap_or_default().trim();
                of = name.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
            }
            let code = line.trim();
            if code.starts_with("fn from_str(text: &") {
                found.push(format!("parse::<{of}>"));
            }
            if let Some((name, _)) = line.strip_prefix("pub fn ").and_then(|rest| rest.split_once("(body: &")) {
                found.push(name.to_owned());
            }
            for parser in ["parse", "read", "create", "from_json", "from_cose", "from_private_jwk", "load"] {
                let takes = |kind: &str| code.contains(&format!("pub fn {parser}({kind}"));
                if ["text: &", "bytes: &", "json: &", "der: &", "body: &"].iter().any(|kind| takes(kind))
                    && line.starts_with(' ')
                {
                    found.push(format!("{of}::{parser}"));
                }
            }
        }
    }
    let parses: Vec<String> = found.iter().filter_map(|one| one.strip_suffix("::parse").map(str::to_owned)).collect();
    found.retain(|one| !parses.iter().any(|of| *one == format!("parse::<{of}>")));
    found
}

#[test]
fn every_parser_of_bytes_from_outside_has_a_target() {
    let sources: Vec<_> = ["crates/wire/src", "crates/oidc/src", "crates/app/src/deployment"]
        .into_iter()
        .flat_map(crate::source::rust)
        .collect();
    let parsers = parsers(&sources);
    assert!(parsers.len() >= 20, "{parsers:?}");
    // Not named in full: this file is one of those that are looked through.
    for known in [["OfficeFile", "parse"], ["ClaimsRequest", "read"], ["StreamConfig", "create"], ["Poll", "read"]] {
        let known = known.join("::");
        assert!(parsers.contains(&known), "{known} is not seen in {parsers:?}");
    }
    assert!(parsers.contains(&format!("parse::<{}>", "SubjectHandle")), "{parsers:?}");
    let targets: String = crate::source::files("crates", ".rs")
        .into_iter()
        .map(|(_, text)| text)
        .filter(|text| text.contains("bolero::check!") || text.contains("mutants::"))
        .collect();
    // Within its own file a parser is `Self::parse` or goes by the type's name; targets name it in full.
    let without: Vec<_> = parsers.iter().filter(|parser| !targets.contains(parser.as_str())).collect();
    assert!(without.is_empty(), "no fuzz target names {without:?}");
}

#[test]
fn a_parser_without_a_target_is_noticed() {
    let stray = vec![(
        "x.rs".into(),
        "impl FromStr for Stray {\n    fn from_str(text: &str) -> Self {\n}\nimpl Stray {\n    pub fn parse(text: &str) -> Self {\n}\n\
         impl FromStr for Text {\n    fn from_str(text: &str) -> Self {\n}\n\
         pub fn read_stray(body: &[u8]) {"
            .to_owned(),
    )];
    assert_eq!(parsers(&stray), ["Stray::parse", "parse::<Text>", "read_stray"]);
}

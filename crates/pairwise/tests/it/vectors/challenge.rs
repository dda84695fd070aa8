//! flows 4.

use super::{filled, frozen, h};
use hufu_kernel::{Answer, Label, Level, Strength, Timestamp};
use hufu_pairwise::{Context, Intl, blind, challenge, request_direct, statement_context};
use serde_json::{Value, json};

const T: Timestamp = Timestamp(1_790_000_000);

fn context(level: Level, answers: &[Answer]) -> (Value, [u8; 32]) {
    let (s, certificate_hash, tx) = (filled("s"), filled("platform certificate"), filled("tx"));
    let (client_id, code_challenge) = ("shop", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let dpop_jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let request = request_direct::<Intl>(client_id, code_challenge, dpop_jkt, &tx);
    let parts = Context {
        s: &s,
        sector_id: "https://shop.example",
        nonce: "n-0S6_WzA2Mj",
        redirect_uri: "https://shop.example/cb",
        certificate_hash: &certificate_hash,
        purpose: "age-check",
        answers,
        request: if level == Level::Direct { &request } else { &[] },
    };
    let ctx = parts.hash::<Intl>();
    let text = json!({
        "level": level,
        "s": h(s),
        "sector_id": parts.sector_id,
        "nonce": parts.nonce,
        "redirect_uri": parts.redirect_uri,
        "certificate_hash": h(certificate_hash),
        "purpose": parts.purpose,
        "answers": answers,
        "request_of": (level == Level::Direct).then(|| json!({ "client_id": client_id, "code_challenge": code_challenge, "dpop_jkt": dpop_jkt, "tx": h(tx) })),
        "request": h(parts.request),
        "ctx": h(ctx),
    });
    (text, ctx)
}

struct Case<'a> {
    label: Label,
    level: Option<Level>,
    subject: &'a [u8],
    ctx: [u8; 32],
    strength: Option<Strength>,
}

impl Case<'_> {
    fn text(&self) -> Value {
        json!({
            "label": self.label,
            "level": self.level.map_or("", Level::as_str),
            "subject": h(self.subject),
            "ctx": h(self.ctx),
            "strength": self.strength.map_or("", Strength::as_str),
            "t": T,
            "chal": h(challenge::<Intl>(self.label, self.level, self.subject, &self.ctx, self.strength, T)),
        })
    }
}

#[test]
fn challenge_vectors_are_frozen() {
    let (direct, ctx) = context(Level::Direct, &[Answer::Unique, Answer::Real, Answer::AgeOver18, Answer::Real]);
    let (blinded, blind_ctx) = context(Level::Blind, &[]);
    let statement = b"a statement as its bytes are signed";
    let other = statement_context::<Intl>(statement);
    let (b, _) = blind::<Intl>("https://shop.example", &crate::support::rng(4));
    let sector: &[u8] = b"https://shop.example";
    let sign_in = |level, subject, ctx, strength| Case {
        label: Label::SignIn,
        level: Some(level),
        subject,
        ctx,
        strength: Some(strength),
    };
    let mut challenges = vec![
        sign_in(Level::Direct, sector, ctx, Strength::Certificate).text(),
        sign_in(Level::Direct, sector, ctx, Strength::CertificatePassword).text(),
        sign_in(Level::Blind, &b.0.0, blind_ctx, Strength::Certificate).text(),
    ];
    for label in Label::ALL.iter().copied().filter(|label| *label != Label::SignIn) {
        challenges.push(Case { label, level: None, subject: &[], ctx: other, strength: None }.text());
    }
    frozen(
        "challenge",
        &json!({
            "suite": "INTL",
            "contexts": [direct, blinded],
            "statements": [{ "statement": h(statement), "ctx": h(other) }],
            "challenges": challenges,
        }),
    );
}

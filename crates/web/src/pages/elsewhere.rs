//! The front's pages for signing in with another device: on its own origin, in one language with what matters most in the other.

use super::at_front::{other, rendered};
use super::text;
use askama::Template;
use hufu_kernel::Lang;
use hufu_offices::front::{Ended, Progress, Shows};
use hufu_wire::api::platform::Bilingual;
use qrcode::{Color, EcLevel, QrCode};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Modules of white around a code (ISO/IEC 18004 section 9.1).
const QUIET: usize = 4;

/// A QR code as a drawing: black on white whatever the theme, since scanners want that.
fn drawn(text: &str, alternative: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (at, _) in colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        write!(path, "M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET).ok()?;
    }
    let side = width + 2 * QUIET;
    let label = alternative.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    Some(format!(
        "<svg viewBox=\"0 0 {side} {side}\" role=\"img\" aria-label=\"{label}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

fn ended_key(ended: Ended) -> &'static str {
    match ended {
        Ended::Refused => "elsewhere-refused",
        Ended::Guessed => "elsewhere-guessed",
        Ended::Late => "elsewhere-late",
    }
}

/// How far it is, in words; `None`: it has ended.
fn progress_key(progress: Option<Progress>) -> &'static str {
    match progress {
        Some(Progress::Showing) => "elsewhere-showing",
        Some(Progress::Hidden) => "elsewhere-hidden",
        Some(Progress::Scanned) => "elsewhere-scanned",
        Some(Progress::Agreed { .. }) => "elsewhere-agreed",
        Some(Progress::Ended(ended)) => ended_key(ended),
        None => "elsewhere-over",
    }
}

/// The page.
#[derive(Template)]
#[template(path = "front_elsewhere.html")]
struct Whole<'a> {
    p: &'a ElsewherePage<'a>,
}

/// The page of the browser that began.
#[derive(Debug)]
pub(crate) struct ElsewherePage<'a> {
    pub lang: Lang,
    pub sandbox: bool,
    /// The transaction, as it stands in the address.
    pub tx: &'a str,
    pub platform: &'a Bilingual,
    pub progress: Progress,
    /// Whether a wrong number was typed.
    pub wrong: bool,
}

#[expect(clippy::unused_self, reason = "templates call what they need on p")]
impl ElsewherePage<'_> {
    /// The page.
    pub(crate) fn html(&self) -> String {
        rendered(&Whole { p: self })
    }

    fn lang(&self) -> Lang {
        self.lang
    }

    fn other(&self) -> Lang {
        other(self.lang)
    }

    fn sandbox(&self) -> bool {
        self.sandbox
    }

    fn tx(&self) -> &str {
        self.tx
    }

    fn wrong(&self) -> bool {
        self.wrong
    }

    fn t(&self, lang: Lang, key: &str) -> Cow<'static, str> {
        text::message(lang, key, &[])
    }

    fn title(&self, lang: Lang) -> Cow<'static, str> {
        let title = self.t(lang, "elsewhere-title");
        if self.wrong { Cow::Owned(format!("{} {title}", self.t(lang, "error-prefix"))) } else { title }
    }

    fn heading(&self, lang: Lang) -> Cow<'static, str> {
        self.t(lang, "elsewhere-title")
    }

    fn lead(&self, lang: Lang) -> Cow<'static, str> {
        text::message(lang, "elsewhere-lead", &[("platform", self.platform.get(lang))])
    }

    fn ended(&self, lang: Lang) -> Option<Cow<'static, str>> {
        match self.progress {
            Progress::Ended(ended) => Some(self.t(lang, ended_key(ended))),
            _ => None,
        }
    }

    fn says(&self, lang: Lang) -> Cow<'static, str> {
        self.t(lang, progress_key(Some(self.progress)))
    }

    /// Whether there is a frame of codes: all that renews itself, and only as long as there is something to scan.
    fn showing(&self) -> bool {
        self.progress == Progress::Showing
    }

    /// Whether codes may be shown anew: not once a device has it.
    fn may_show(&self) -> bool {
        matches!(self.progress, Progress::Showing | Progress::Hidden)
    }

    fn tries(&self, lang: Lang) -> Option<Cow<'static, str>> {
        match self.progress {
            Progress::Agreed { tries } => {
                Some(text::message(lang, "elsewhere-tries", &[("tries", &tries.to_string())]))
            }
            _ => None,
        }
    }
}

/// The frame.
#[derive(Template)]
#[template(path = "front_elsewhere_frame.html")]
struct Frame<'a> {
    p: &'a ElsewhereFrame<'a>,
}

/// The frame in it: a code, or why there is none any more.
#[derive(Debug)]
pub(crate) struct ElsewhereFrame<'a> {
    pub lang: Lang,
    /// What is in the code.
    pub scan: Option<&'a str>,
    /// `None`: the sign-in has ended.
    pub progress: Option<Progress>,
}

impl ElsewhereFrame<'_> {
    /// The page.
    pub(crate) fn html(&self) -> String {
        rendered(&Frame { p: self })
    }

    fn tag(&self) -> &'static str {
        self.lang.tag()
    }

    fn title(&self) -> Cow<'static, str> {
        text::message(self.lang, "elsewhere-frame", &[])
    }

    fn code(&self) -> Option<String> {
        drawn(self.scan?, &text::message(self.lang, "elsewhere-code", &[]))
    }

    fn says(&self) -> Cow<'static, str> {
        text::message(self.lang, progress_key(self.progress), &[])
    }
}

/// The page.
#[derive(Template)]
#[template(path = "front_elsewhere_number.html")]
struct OnDevice<'a> {
    p: &'a ElsewhereNumber<'a>,
}

/// What the other device shows.
#[derive(Debug)]
pub(crate) struct ElsewhereNumber<'a> {
    pub lang: Lang,
    pub sandbox: bool,
    pub platform: &'a Bilingual,
    pub shows: &'a Shows,
}

#[expect(clippy::unused_self, reason = "templates call what they need on p")]
impl ElsewhereNumber<'_> {
    /// The page.
    pub(crate) fn html(&self) -> String {
        rendered(&OnDevice { p: self })
    }

    fn lang(&self) -> Lang {
        self.lang
    }

    fn other(&self) -> Lang {
        other(self.lang)
    }

    fn sandbox(&self) -> bool {
        self.sandbox
    }

    fn t(&self, lang: Lang, key: &str) -> Cow<'static, str> {
        text::message(lang, key, &[])
    }

    fn title(&self, lang: Lang) -> Cow<'static, str> {
        match self.shows {
            Shows::Number(_) => self.t(lang, "elsewhere-number-title"),
            Shows::Ended(_) => self.t(lang, "elsewhere-done-title"),
        }
    }

    fn number(&self) -> Option<&str> {
        match self.shows {
            Shows::Number(number) => Some(number),
            Shows::Ended(_) => None,
        }
    }

    fn lead(&self, lang: Lang) -> Cow<'static, str> {
        match self.shows {
            Shows::Number(_) => text::message(lang, "elsewhere-number-lead", &[("platform", self.platform.get(lang))]),
            Shows::Ended(ended) => self.t(lang, ended_key(*ended)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Bilingual {
        Bilingual { zh: "图书馆 <b>".into(), en: "The library <b>".into() }
    }

    #[test]
    fn every_state_renders_in_both_languages_and_names_the_platform_as_text() {
        let platform = name();
        let states = [
            Progress::Showing,
            Progress::Hidden,
            Progress::Scanned,
            Progress::Agreed { tries: 2 },
            Progress::Ended(Ended::Refused),
            Progress::Ended(Ended::Guessed),
            Progress::Ended(Ended::Late),
        ];
        for lang in [Lang::ZhHans, Lang::En] {
            for progress in states {
                for wrong in [false, true] {
                    let page = ElsewherePage { lang, sandbox: true, tx: "AA", platform: &platform, progress, wrong };
                    let frame = ElsewhereFrame { lang, scan: Some("https://id.example/x"), progress: Some(progress) };
                    let (page, frame) = (page.html(), frame.html());
                    assert!(!page.contains(text::BROKEN) && !frame.contains(text::BROKEN), "{progress:?}");
                    assert!(!page.contains("<b>图") && !page.contains("library <b>") && !page.contains("<script"));
                    assert_eq!(
                        page.contains("name=\"number\""),
                        !matches!(progress, Progress::Ended(_)),
                        "{progress:?}"
                    );
                    assert!(frame.contains("role=\"img\"") && frame.contains("aria-label=\""));
                    // What renews itself can be stopped and is not read out; nothing is shown anew once a device has it.
                    let shown = progress == Progress::Showing;
                    for part in ["aria-hidden=\"true\" tabindex=\"-1\"></iframe>", "id=\"stop\""] {
                        assert_eq!(page.contains(part), shown, "{progress:?}");
                    }
                    assert_eq!(page.contains("id=\"again\""), shown || progress == Progress::Hidden, "{progress:?}");
                    let over = matches!(progress, Progress::Ended(_));
                    assert_eq!(page.contains("id=\"look\"") && page.contains("id=\"progress\""), !over);
                }
            }
            for shows in [Shows::Number("1234 5678".into()), Shows::Ended(Ended::Refused)] {
                let page = ElsewhereNumber { lang, sandbox: true, platform: &platform, shows: &shows }.html();
                assert!(!page.contains(text::BROKEN) && !page.contains("library <b>"));
                assert_eq!(page.contains("1234 5678"), matches!(shows, Shows::Number(_)));
            }
            let over = ElsewhereFrame { lang, scan: None, progress: None }.html();
            assert!(!over.contains(text::BROKEN) && !over.contains("<svg"));
        }
    }

    #[test]
    fn a_code_is_a_square_of_dark_modules_with_white_around() {
        let drawing = drawn("https://id.example/elsewhere/scanned?tx=x", "a \"code\" & more").unwrap();
        assert!(
            drawing.starts_with("<svg viewBox=\"0 0 ")
                && drawing.contains("aria-label=\"a &quot;code&quot; &amp; more\"")
        );
        assert!(drawing.contains("M4 4h1v1h-1z"), "the finder's corner is where the white ends");
        assert!(!drawing.contains("M3 ") && !drawing.contains("style"));
    }
}

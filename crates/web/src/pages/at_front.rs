//! The front's own pages, on its own origin, where no preference of the wallet's pages is known: a refusal, a response that is to be
//! posted to a platform, and the end of a visit.

use super::{refused, text};
use askama::Template;
use hufu_kernel::{Lang, Refusal};
use std::borrow::Cow;

/// Both languages are on a page: the front cannot know which one was chosen at the wallet.
pub(super) fn other(lang: Lang) -> Lang {
    match lang {
        Lang::ZhHans => Lang::En,
        Lang::En => Lang::ZhHans,
    }
}

/// The page; no text if it does not render, which a test excludes.
pub(super) fn rendered(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a page of the front does not render");
        String::new()
    })
}

/// The page.
#[derive(Template)]
#[template(path = "front_refused.html")]
struct FrontRefused<'a> {
    p: &'a FrontRefusal<'a>,
}

/// One refusal at the front. Nothing of the request is repeated.
#[derive(Debug)]
pub(crate) struct FrontRefusal<'a> {
    pub lang: Lang,
    pub sandbox: bool,
    pub refusal: Refusal,
    /// The number a person can read to help.
    pub error_id: &'a str,
    /// For the platform's engineers.
    pub detail: &'a str,
}

impl FrontRefusal<'_> {
    /// The page.
    pub(crate) fn html(&self) -> String {
        rendered(&FrontRefused { p: self })
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

    fn detail(&self) -> &str {
        self.detail
    }

    #[expect(clippy::unused_self, reason = "templates call what they need on p")]
    fn t(&self, lang: Lang, key: &str) -> Cow<'static, str> {
        text::message(lang, key, &[])
    }

    fn title(&self, lang: Lang) -> Cow<'static, str> {
        let key = refused::told_of(self.refusal.code()).map_or("refused-title", |told| told.title);
        self.t(lang, key)
    }

    fn sentence(&self, lang: Lang) -> &'static str {
        self.refusal.sentence(lang)
    }

    fn next(&self, lang: Lang) -> Cow<'static, str> {
        let key = refused::told_of(self.refusal.code()).map_or("next-platform", |told| told.next);
        self.t(lang, key)
    }

    fn id(&self, lang: Lang) -> Cow<'static, str> {
        text::message(lang, "refused-id", &[("id", self.error_id)])
    }
}

/// The page.
#[derive(Template)]
#[template(path = "front_respond.html")]
struct FrontRespond<'a> {
    p: &'a FrontResponse<'a>,
}

/// A response that the browser posts to the platform when the person presses the button: no script does it for them.
#[derive(Debug)]
pub(crate) struct FrontResponse<'a> {
    pub lang: Lang,
    pub sandbox: bool,
    /// The platform's address.
    pub to: &'a str,
    /// What is posted.
    pub parameters: &'a [(String, String)],
}

#[expect(clippy::unused_self, reason = "templates call what they need on p")]
impl FrontResponse<'_> {
    /// The page.
    pub(crate) fn html(&self) -> String {
        rendered(&FrontRespond { p: self })
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

    fn to(&self) -> &str {
        self.to
    }

    fn parameters(&self) -> &[(String, String)] {
        self.parameters
    }

    fn t(&self, lang: Lang, key: &str) -> Cow<'static, str> {
        text::message(lang, key, &[])
    }

    fn title(&self, lang: Lang) -> Cow<'static, str> {
        self.t(lang, "respond-title")
    }

    fn lead(&self, lang: Lang) -> Cow<'static, str> {
        let host = self.to.split('/').nth(2).unwrap_or_default();
        text::message(lang, "respond-lead", &[("host", host)])
    }
}

/// The page.
#[derive(Template)]
#[template(path = "front_signed_out.html")]
struct FrontLeft<'a> {
    p: &'a FrontSignedOut,
}

/// The end of a visit to a platform.
#[derive(Debug)]
pub(crate) struct FrontSignedOut {
    pub lang: Lang,
    pub sandbox: bool,
}

#[expect(clippy::unused_self, reason = "templates call what they need on p")]
impl FrontSignedOut {
    /// The page.
    pub(crate) fn html(&self) -> String {
        rendered(&FrontLeft { p: self })
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
        self.t(lang, "signed-out-title")
    }
}

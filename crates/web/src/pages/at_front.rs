//! A refusal as the front shows it: on its own origin, where no preference of the wallet's pages is known.

use super::{refused, text};
use askama::Template;
use hufu_kernel::{Lang, Refusal};
use std::borrow::Cow;

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
    /// The page; no text if it does not render, which a test excludes.
    pub(crate) fn html(&self) -> String {
        FrontRefused { p: self }.render().unwrap_or_else(|error| {
            tracing::error!(%error, "the front's page of a refusal does not render");
            String::new()
        })
    }

    fn lang(&self) -> Lang {
        self.lang
    }

    /// Both languages are on the page: the front cannot know which one was chosen at the wallet.
    fn other(&self) -> Lang {
        match self.lang {
            Lang::ZhHans => Lang::En,
            Lang::En => Lang::ZhHans,
        }
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

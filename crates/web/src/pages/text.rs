//! The pages' messages, in Fluent (projectfluent.org), one set of files a language.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use hufu_kernel::Lang;
use std::borrow::Cow;
use std::sync::LazyLock;
use unic_langid::LanguageIdentifier;

macro_rules! files {
    ($($name:literal),*) => {
        /// The files of each language, Chinese then English.
        pub(super) const FILES: &[(&str, [&str; 2])] = &[$((
            $name,
            [
                include_str!(concat!("../../../../locales/zh-Hans/", $name, ".ftl")),
                include_str!(concat!("../../../../locales/en/", $name, ".ftl")),
            ],
        )),*];
    };
}

files!["shell", "enrol", "sign_in", "home", "refused", "verify", "docs"];

static BUNDLES: LazyLock<[FluentBundle<FluentResource>; 2]> =
    LazyLock::new(|| [bundle(Lang::ZhHans, 0), bundle(Lang::En, 1)]);

fn bundle(lang: Lang, position: usize) -> FluentBundle<FluentResource> {
    let tag: LanguageIdentifier = lang.tag().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![tag]);
    // Values are numbers and ASCII names in sentences of one direction; isolation marks would only end up in copied text.
    bundle.set_use_isolating(false);
    for (_, texts) in FILES {
        // A file with an error in it keeps its sound messages; a test refuses the file.
        let resource = FluentResource::try_new(texts[position].to_owned()).unwrap_or_else(|(partial, _)| partial);
        bundle.add_resource_overriding(resource);
    }
    bundle
}

/// The mark of a message that does not exist or lacks an argument; a test renders every page and looks for it.
pub(super) const BROKEN: char = '⟦';

/// A message in `lang`.
pub(super) fn message(lang: Lang, key: &str, args: &[(&str, &str)]) -> Cow<'static, str> {
    let bundle = match lang {
        Lang::ZhHans => &BUNDLES[0],
        Lang::En => &BUNDLES[1],
    };
    let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
        return Cow::Owned(format!("{BROKEN}{key}⟧"));
    };
    let mut values = FluentArgs::new();
    for (name, value) in args {
        values.set(*name, (*value).to_owned());
    }
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, Some(&values), &mut errors);
    if errors.is_empty() { Cow::Owned(text.into_owned()) } else { Cow::Owned(format!("{BROKEN}{key}⟧")) }
}

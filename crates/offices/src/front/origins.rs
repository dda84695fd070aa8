//! Origins: which are acceptable, and when two are the same place.

use hufu_kernel::Root;
use hufu_wire::api::trust::Trust;

/// `scheme://host[:port]` as browsers write origins; http only on this machine and only in the sandbox.
pub(super) fn acceptable_origin(origin: &str, root: Root) -> bool {
    let (local, authority) = match origin.split_once("://") {
        Some(("https", authority)) => (false, authority),
        Some(("http", authority)) => (true, authority),
        _ => return false,
    };
    let plain = !authority.is_empty()
        && authority.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b));
    let host = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(authority, |(host, _)| host);
    let this_machine = matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost");
    plain && (!local || (root == Root::Sandbox && this_machine))
}

/// A browser that a certificate is asked of shows a dialogue: nothing that browsers meet is at that address, however it is spelt.
pub(super) fn may_ask_for_certificates(mtls: &str, trust: &Trust) -> bool {
    let met = [place(&trust.issuer), place(&trust.wallet_origin)];
    let own = place(mtls).is_some_and(|asked| !met.contains(&Some(asked)));
    own && mtls.starts_with("https://") && acceptable_origin(mtls, trust.root)
}

/// Where an origin leads: host and port, in whatever case, with or without the scheme's own port, the root's dot or zeros before a number.
fn place(origin: &str) -> Option<(String, u16)> {
    let (scheme, authority) = origin.split_once("://")?;
    let own = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        None => (authority, own),
        Some((host, "")) => (host, own),
        Some((host, port)) => (host, port.parse().ok()?),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_an_origin_and_http_stays_on_this_machine() {
        assert!(acceptable_origin("https://id.example", Root::Production));
        assert!(acceptable_origin("http://localhost:8080", Root::Sandbox));
        assert!(acceptable_origin("http://wallet.localhost:8081", Root::Sandbox));
        for (origin, root) in [
            ("http://localhost:8080", Root::Production),
            ("http://id.example", Root::Sandbox),
            ("https://id.example/", Root::Production),
            ("https://ID.example", Root::Production),
            ("https://", Root::Production),
            ("https://user@id.example", Root::Production),
            ("id.example", Root::Sandbox),
        ] {
            assert!(!acceptable_origin(origin, root), "{origin}");
        }
    }

    #[test]
    fn one_place_has_many_spellings_and_is_one_place() {
        let same = place("https://id.example");
        assert_eq!(same, Some(("id.example".to_owned(), 443)));
        for spelling in [
            "https://id.example:443",
            "https://id.example:0443",
            "https://id.example:",
            "https://id.example.",
            "https://id.example.:443",
            "HTTPS://ID.Example",
        ] {
            assert_eq!(place(spelling), same, "{spelling}");
        }
        for other in ["https://id.example:8443", "https://mtls.id.example", "http://id.example", "https://[::1]"] {
            assert!(place(other).is_some() && place(other) != same, "{other}");
        }
        assert_eq!(place("https://[::1]"), place("https://[::1]:443"));
        for none in
            ["", "id.example", "https://", "https://id.example:https", "https://id.example:99999", "ftp://id.example"]
        {
            assert_eq!(place(none), None, "{none}");
        }
    }
}

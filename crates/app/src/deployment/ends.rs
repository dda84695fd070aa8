//! When this process's certificates end, for whoever asks its metrics: a certificate that nobody renews is seen two weeks before it stops
//! the office.

use super::public_tls::{CertificateFiles, validity};
use hufu_web::metrics::Metrics;
use hufu_web::peers::Leaf;
use std::sync::Arc;

/// What this process presents.
#[derive(Clone)]
pub struct Presented {
    /// Whose.
    pub office: &'static str,
    /// To other offices.
    pub own: Option<Arc<Leaf>>,
    /// To wallets, browsers and platforms, where it speaks TLS to them itself.
    pub public: Option<Arc<CertificateFiles>>,
    /// To platforms with TLS certificates of their own.
    pub mtls: Option<Arc<CertificateFiles>>,
}

impl Presented {
    /// Sets the gauges.
    pub fn tell(&self, metrics: &Metrics) {
        let tell = |certificate, der: Vec<u8>| match validity(&der) {
            Ok((_, until)) => metrics.certificate_ends(self.office, certificate, until.0),
            Err(error) => tracing::warn!(certificate, %error, "nobody can say when this certificate ends"),
        };
        if let Some(leaf) = &self.own {
            tell("office", leaf.certificate());
        }
        if let Some(files) = &self.public {
            tell("public", files.presented());
        }
        if let Some(files) = &self.mtls {
            tell("mtls", files.presented());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::public_tls;
    use crate::root::key_file::{self, Keys, Owner, keeper};
    use crate::root::live_keys::LiveKeys;
    use hufu_kernel::{Clock, KeyKeeper as _, KeyStore, KeyUse, ManualClock, Octets, OsRng, Rng, Root, Timestamp};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn certificate(folder: &Path, until: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["id.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 1, 1);
        std::fs::write(folder.join("certificate.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::set_permissions(folder.join("key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn both_ends_are_told_and_follow_what_is_presented() {
        let rng: Arc<dyn Rng> = Arc::new(OsRng);
        let own = tempfile::tempdir().unwrap();
        let owner = Owner { office: "post".to_owned(), root: Root::Sandbox, root_id: Octets([7; 16]) };
        key_file::write(own.path(), &owner, &Keys::new(), rng.as_ref()).unwrap();
        let keeper = keeper(own.path(), &owner, &rng).unwrap();
        keeper.generate("office", KeyUse::Ed25519).unwrap();
        keeper.generate("tls", KeyUse::Es256).unwrap();
        let keys = LiveKeys::open(own.path(), &owner, &rng).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000).day()));
        let own = Leaf::new(
            Arc::new(keys) as Arc<dyn KeyStore>,
            "post",
            Octets([7; 16]),
            Arc::clone(&clock) as Arc<dyn Clock>,
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path(), 2031);
        let files = public_tls::open(&folder.path().join("certificate.pem"), &folder.path().join("key.pem")).unwrap();
        let presented = Presented { office: "post", own: Some(own), public: Some(files), mtls: None };
        let metrics = Metrics::default();
        let told = |certificate: &str| -> i64 {
            presented.tell(&metrics);
            let sample =
                format!("hufu_certificate_end_timestamp_seconds{{office=\"post\",certificate=\"{certificate}\"}} ");
            let text = metrics.text();
            text.lines().find_map(|line| line.strip_prefix(&sample)).expect(&text).parse().unwrap()
        };
        assert_eq!((told("office"), told("public")), (clock.now().0 + 30 * 86_400, 1_924_992_000));
        // The office's own is made anew by asking, on the next day.
        clock.advance(86_400);
        certificate(folder.path(), 2032);
        assert_eq!((told("office"), told("public")), (clock.now().0 + 30 * 86_400, 1_956_528_000));
        // What cannot be used is not presented: the end is that of the one before.
        std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
        certificate_alone(folder.path());
        assert_eq!(told("public"), 1_956_528_000);
    }

    /// Of another key than the one beside it.
    fn certificate_alone(folder: &Path) {
        let key = std::fs::read(folder.join("key.pem")).unwrap();
        certificate(folder, 2040);
        std::fs::write(folder.join("key.pem"), key).unwrap();
    }
}

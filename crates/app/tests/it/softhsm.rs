//! Keys in a PKCS#11 token (SoftHSM2): the same answers as keys in a file, and no way out but wrapped under a trusted key.

use crate::ceremony::{Planned, refused};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use hufu_app::keys::pkcs11::{self, Pkcs11Keys, Pkcs11Place, SHARES};
use hufu_app::root::key_file::Use;
use hufu_kernel::{KeyError, KeyKeeper, KeyStore, OsRng, Rng, Subset, random};
use hufu_offices::keys::{SoftwareKey, SoftwareKeys};
use hufu_pairwise::{Group as _, Intl, sector_point, sub, sub_key, sum_scalars};
use hufu_wire::api::roster::Identity;
use hufu_wire::api::trust::verify_ed25519;
use hufu_wire::jose::{Alg, PublicKey};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

const MISSING: &str = "the tests of tokens need SoftHSM2: apt-get install softhsm2";
const IN_TOKENS: &str = "HUFU_TEST_TOKENS";
const PIN: &str = "5678";
const OFFICER: &str = "1234";
/// Where the library finds its tokens, for the processes of offices.
const CONF: [&str; 2] = ["--env", "SOFTHSM2_CONF"];
const K: [u8; 32] = [7; 32];

fn library() -> PathBuf {
    let known = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    known.into_iter().map(PathBuf::from).find(|path| path.exists()).expect(MISSING)
}

/// Runs the test of this name in a process of its own with tokens of its own: the library reads its configuration once, from the
/// environment. `None` in the parent, which has then seen the child pass.
fn tokens(test: &str, labels: &[&str]) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(IN_TOKENS) {
        return Some(PathBuf::from(folder));
    }
    let library = library();
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("softhsm2.conf");
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    let text = format!(
        "directories.tokendir = {}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
        folder.path().display()
    );
    std::fs::write(&conf, text).unwrap();
    for label in labels {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--so-pin", OFFICER, "--pin", PIN])
            .env("SOFTHSM2_CONF", &conf)
            .output()
            .expect(MISSING);
        assert!(made.status.success(), "{made:?} {}", library.display());
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("softhsm::{test}")])
        .env("SOFTHSM2_CONF", &conf)
        .env(IN_TOKENS, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    // A name that no test has would pass with nothing run.
    assert!(said.contains("1 passed"), "{said}");
    print!(
        "{}",
        said.lines().filter(|line| line.starts_with("measured")).fold(String::new(), |all, line| all + line + "\n")
    );
    None
}

fn place(folder: &Path, token: &str) -> Pkcs11Place {
    let pin_file = folder.join("pin");
    if !pin_file.exists() {
        hufu_app::files::replace(&pin_file, format!("{PIN}\n").as_bytes(), hufu_app::files::PRIVATE).unwrap();
    }
    Pkcs11Place { module: library(), token: token.to_owned(), pin_file }
}

fn rng() -> Arc<dyn Rng> {
    Arc::new(OsRng)
}

fn open(folder: &Path, token: &str) -> Pkcs11Keys {
    let own = folder.join(token);
    std::fs::create_dir_all(&own).unwrap();
    Pkcs11Keys::open(&place(folder, token), &own, &rng()).unwrap()
}

fn in_a_file() -> SoftwareKeys {
    let bytes = |value: &[u8]| Zeroizing::new(value.to_vec());
    let keys = [
        ("k-12".to_owned(), SoftwareKey::Hmac(bytes(&K))),
        ("rows".to_owned(), SoftwareKey::Seal(bytes(&random::<32>(&OsRng)))),
        ("office".to_owned(), SoftwareKey::Ed25519(bytes(&random::<32>(&OsRng)))),
        ("tls".to_owned(), SoftwareKey::Es256(bytes(&es256()))),
        ("frost-share".to_owned(), SoftwareKey::Share(bytes(b"a share"))),
    ];
    SoftwareKeys::load(keys, rng()).unwrap()
}

fn es256() -> Vec<u8> {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new());
    made.unwrap().as_ref().to_vec()
}

fn settle(keys: &Pkcs11Keys) {
    keys.import("k-12", Use::Hmac, &K).unwrap();
    keys.generate("rows", Use::Seal).unwrap();
    keys.generate("office", Use::Ed25519).unwrap();
    keys.generate("tls", Use::Es256).unwrap();
    keys.import("frost-share", Use::Share, b"a share").unwrap();
}

/// What every key store answers, wherever its keys are.
fn contract(keys: &dyn KeyStore) {
    // RFC 4231 has no key of 32 bytes: these bytes are Python's hmac of 32 bytes 0x07 over "hufu".
    let code = keys.hmac("k-12", b"hufu").unwrap();
    assert_eq!(hufu_kernel::hex(code.as_slice()), "9a2920e74383dd213b98d14d8822096dc601c7171577d4ea9278fbf45ad5da56");
    let sealed = keys.seal("rows", b"aad", b"plain").unwrap();
    assert_ne!(keys.seal("rows", b"aad", b"plain").unwrap(), sealed, "a nonce of its own each time");
    assert_eq!(&**keys.open("rows", b"aad", &sealed).unwrap(), b"plain");
    assert!(matches!(keys.open("rows", b"other", &sealed), Err(KeyError::Open(_))));
    for at in 0..sealed.0.0.len() {
        let mut changed = sealed.clone();
        changed.0.0[at] ^= 1;
        assert!(matches!(keys.open("rows", b"aad", &changed), Err(KeyError::Open(_))), "byte {at}");
        changed.0.0.truncate(at);
        assert!(matches!(keys.open("rows", b"aad", &changed), Err(KeyError::Open(_))), "{at} bytes");
    }
    let public = keys.public("office").unwrap().0;
    let signature = keys.sign_ed25519("office", b"message").unwrap();
    assert!(verify_ed25519(&public.as_slice().try_into().unwrap(), b"message", &signature));
    let point: [u8; 65] = keys.public("tls").unwrap().0.try_into().unwrap();
    let signature = keys.sign_es256("tls", b"message").unwrap();
    PublicKey::p256(point).unwrap().verify(Alg::ES256, b"message", signature.as_slice()).unwrap();
    assert_eq!(&**keys.share("frost-share").unwrap(), b"a share");
    for missing in [
        keys.hmac("k-99", b"").map(drop),
        keys.seal("k-99", b"", b"").map(drop),
        keys.sign_ed25519("k-99", b"").map(drop),
        keys.sign_es256("k-99", b"").map(drop),
        keys.public("k-99").map(drop),
        keys.share("k-99").map(drop),
    ] {
        assert_eq!(missing, Err(KeyError::Missing("k-99".to_owned())));
    }
}

#[test]
fn keys_in_a_file_and_in_a_token_answer_alike_and_a_token_keeps_them() {
    let Some(folder) = tokens("keys_in_a_file_and_in_a_token_answer_alike_and_a_token_keeps_them", &["node-1"]) else {
        return;
    };
    contract(&in_a_file());
    let keys = open(&folder, "node-1");
    settle(&keys);
    contract(&keys);
    let sealed = keys.seal("rows", b"", b"before").unwrap();
    let public = keys.public("office").unwrap();
    drop(keys);
    let keys = open(&folder, "node-1");
    contract(&keys);
    assert_eq!(&**keys.open("rows", b"", &sealed).unwrap(), b"before");
    assert_eq!(keys.public("office").unwrap(), public);
    // Taken names stay whose they are.
    assert!(matches!(keys.generate("rows", Use::Seal), Err(KeyError::Taken(_))));
    assert!(matches!(keys.import("k-12", Use::Hmac, &[8; 32]), Err(KeyError::Taken(_))));
    assert!(matches!(keys.import("frost-share", Use::Share, b"another"), Err(KeyError::Taken(_))));
    assert!(matches!(keys.import("es256", Use::Es256, &es256()), Err(KeyError::Device(_))));
    // A share that was changed, or put under another share's name, does not open.
    let path = folder.join("node-1").join(SHARES);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("a share"));
    std::fs::write(&path, text.replace("frost-share", "tag-share")).unwrap();
    assert!(matches!(keys.share("tag-share"), Err(KeyError::Open(_))));
    keys.destroy("k-12").unwrap();
    keys.destroy("k-12").unwrap();
    assert!(matches!(keys.hmac("k-12", b""), Err(KeyError::Missing(_))));
}

/// A session beside ours, as somebody with the PIN and the library has it.
fn beside(token: &str, user: UserType, pin: &str) -> (Pkcs11, Session) {
    let module = Pkcs11::new(library()).unwrap();
    let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slots = module.get_slots_with_initialized_token().unwrap();
    let slot =
        slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label().trim_end() == token).unwrap();
    let session = module.open_rw_session(slot).unwrap();
    let _ = session.login(user, Some(&AuthPin::from(pin.to_owned())));
    (module, session)
}

#[test]
fn a_sub_key_leaves_a_token_only_wrapped_under_a_key_that_the_officer_trusts() {
    let name = "a_sub_key_leaves_a_token_only_wrapped_under_a_key_that_the_officer_trusts";
    let Some(folder) = tokens(name, &["node-1", "node-2", "thief"]) else { return };
    let (one, two, thief) = (open(&folder, "node-1"), open(&folder, "node-2"), open(&folder, "thief"));
    settle(&one);
    let (_module, session) = beside("node-1", UserType::User, PIN);
    for label in ["k-12", "rows", "office"] {
        for key in session.find_objects(&[Attribute::Label(label.into())]).unwrap() {
            let told = session.get_attributes(key, &[AttributeType::Class, AttributeType::Value]).unwrap();
            let class = told.contains(&Attribute::Class(ObjectClass::PUBLIC_KEY));
            let value = told.iter().any(|told| matches!(told, Attribute::Value(_)));
            assert!(class || !value, "{label} was told");
        }
    }
    let key = session.find_objects(&[Attribute::Label("k-12".into())]).unwrap()[0];
    let change = [Attribute::WrapWithTrusted(false)];
    assert!(session.update_attributes(key, &change).is_err(), "the rule cannot be taken off");
    assert!(session.update_attributes(key, &[Attribute::Sensitive(false)]).is_err());

    // The thief's wrapping key, brought in by whoever has the user's PIN, is not trusted, and nobody but the officer can say it is.
    let wrapping = thief.wrapping_key().unwrap();
    // What stands before it names the method.
    let parts = &wrapping.0[1..];
    let length = usize::try_from(u32::from_be_bytes(*parts.first_chunk().unwrap())).unwrap();
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Label("thief".into()),
        Attribute::Modulus(parts[4..4 + length].to_vec()),
        Attribute::PublicExponent(parts[8 + length..].to_vec()),
        Attribute::Wrap(true),
    ];
    session.create_object(&template).unwrap();
    assert!(matches!(one.wrap("k-12", &wrapping.0, b""), Err(KeyError::Device(_))), "an untrusted key wraps");
    template.push(Attribute::Trusted(true));
    assert!(session.create_object(&template).is_err(), "the user cannot trust");
    // Nor is a key of the user's own a way out.
    let own = [
        Attribute::Token(false),
        Attribute::KeyType(KeyType::AES),
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::ValueLen(32.into()),
        Attribute::Wrap(true),
    ];
    let own = session.generate_key(&Mechanism::AesKeyGen, &own).unwrap();
    assert!(session.wrap_key(&Mechanism::AesKeyWrapPad, own, key).is_err());
    drop(session);

    // The replacement node's key, trusted by the officer, is the one way; the officer alone cannot use it.
    let wrapping = two.wrapping_key().unwrap();
    assert_eq!(two.wrapping_key().unwrap(), wrapping, "made once");
    drop(one);
    let wrong = AuthPin::from("0000".to_owned());
    assert!(pkcs11::trust(&place(&folder, "node-1"), &wrong, "node-2", &wrapping).is_err());
    pkcs11::trust(&place(&folder, "node-1"), &AuthPin::from(OFFICER.to_owned()), "node-2", &wrapping).unwrap();
    let one = open(&folder, "node-1");
    let wrapped = one.wrap("k-12", &wrapping.0, b"").unwrap();
    assert!(one.wrap("rows", &wrapping.0, b"").is_err(), "a key that was drawn in the token never leaves it");
    assert!(!wrapped.0.windows(K.len()).any(|window| window == K));
    two.unwrap_key("k-12", b"", &wrapped.0).unwrap();
    assert_eq!(two.hmac("k-12", b"hufu").unwrap(), one.hmac("k-12", b"hufu").unwrap());
    assert!(thief.unwrap_key("k-12", b"", &wrapped.0).is_err());
}

#[test]
fn a_wrong_pin_a_missing_token_and_a_readable_pin_are_named() {
    let Some(folder) = tokens("a_wrong_pin_a_missing_token_and_a_readable_pin_are_named", &["node-1"]) else { return };
    let missing = Pkcs11Keys::open(&place(&folder, "node-9"), &folder, &rng()).unwrap_err().to_string();
    assert!(missing.contains("node-9") && missing.contains("node-1"), "{missing}");
    let module = Pkcs11Place { module: "/nowhere.so".into(), ..place(&folder, "node-1") };
    let module = Pkcs11Keys::open(&module, &folder, &rng()).unwrap_err().to_string();
    assert!(module.contains("/nowhere.so"), "{module}");
    let pin_file = folder.join("wrong");
    hufu_app::files::replace(&pin_file, b"4711", hufu_app::files::PRIVATE).unwrap();
    let wrong = Pkcs11Place { pin_file: pin_file.clone(), ..place(&folder, "node-1") };
    let told = Pkcs11Keys::open(&wrong, &folder, &rng()).unwrap_err().to_string();
    assert!(told.contains("node-1") && told.contains("wrong") && !told.contains("4711"), "{told}");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&pin_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = Pkcs11Keys::open(&wrong, &folder, &rng()).unwrap_err().to_string();
    assert!(told.contains("can be read by others"), "{told}");
}

#[test]
fn sixteen_threads_share_a_token_and_a_person_keeps_the_same_sub() {
    let Some(folder) = tokens("sixteen_threads_share_a_token_and_a_person_keeps_the_same_sub", &["node-1"]) else {
        return;
    };
    let (file, token) = (in_a_file(), open(&folder, "node-1"));
    settle(&token);
    let of = |keys: &dyn KeyStore, root: &[u8]| {
        let keys = Subset::ALL.map(|_| sub_key::<Intl>(&keys.hmac("k-12", root).unwrap().0, None).unwrap());
        sub::<Intl>(&Intl::mul(&sum_scalars::<Intl>(&keys).unwrap(), &sector_point::<Intl>("https://shop.example")))
    };
    std::thread::scope(|scope| {
        for thread in 0..16_u8 {
            let (file, token) = (&file, &token);
            scope.spawn(move || {
                for turn in 0..25_u8 {
                    let root = [thread, turn];
                    assert_eq!(of(file, &root), of(token, &root));
                    let sealed = token.seal("rows", &root, &root).unwrap();
                    assert_eq!(&**token.open("rows", &root, &sealed).unwrap(), &root);
                }
            });
        }
    });
    let timed = |keys: &dyn KeyStore, work: &dyn Fn(&dyn KeyStore)| {
        let start = tokio::time::Instant::now();
        (0..500).for_each(|_| work(keys));
        start.elapsed().as_secs_f64()
    };
    type Work<'a> = (&'a str, &'a dyn Fn(&dyn KeyStore));
    let works: [Work<'_>; 3] = [
        ("HMAC", &|keys| assert!(keys.hmac("k-12", b"root").is_ok())),
        ("ES256", &|keys| assert!(keys.sign_es256("tls", b"message").is_ok())),
        ("Ed25519", &|keys| assert!(keys.sign_ed25519("office", b"message").is_ok())),
    ];
    for (name, work) in works {
        println!(
            "measured: {name} takes {:.1} times as long in SoftHSM2 as in process memory",
            timed(&token, work) / timed(&file, work)
        );
    }
}

/// Runs the program at a terminal and types this when it asks; whether it succeeded, and all that the terminal showed.
fn typed(arguments: &[&str], line: &str) -> (bool, String) {
    let command = [&[env!("CARGO_BIN_EXE_hufu")], arguments].concat().join(" ");
    let mut terminal = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keys, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let (mut seen, mut some, mut asked) = (Vec::new(), [0; 256], false);
    loop {
        let read = screen.read(&mut some).unwrap();
        if read == 0 {
            break;
        }
        seen.extend_from_slice(&some[..read]);
        if !asked && String::from_utf8_lossy(&seen).contains("not shown): ") {
            asked = true;
            // The terminal shows what is typed until it is told not to, just after the question.
            std::thread::sleep(Duration::from_millis(300));
            keys.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
    }
    (terminal.wait().unwrap().success(), String::from_utf8_lossy(&seen).into_owned())
}

/// Has an office keep its keys in the token of its name.
fn in_token(planned: &Planned, folder: &Path, office: &str) {
    let config = planned.config(office);
    let place = place(folder, office);
    let text = std::fs::read_to_string(&config).unwrap();
    let keys = format!(
        "{text}\n[keys]\nkind = \"pkcs11\"\nmodule = {:?}\ntoken = {office:?}\npin_file = {:?}\n",
        place.module, place.pin_file
    );
    std::fs::write(config, keys).unwrap();
}

#[test]
fn nodes_in_tokens_make_keys_with_the_others_hand_them_over_when_two_people_say_so_and_sign_people_in() {
    let name = "nodes_in_tokens_make_keys_with_the_others_hand_them_over_when_two_people_say_so_and_sign_people_in";
    let Some(folder) = tokens(name, &["node-1", "node-2", "thief"]) else { return };
    let planned = Planned::new(true);
    for office in ["node-1", "node-2"] {
        in_token(&planned, &folder, office);
    }
    planned.ceremony(&CONF);
    for office in ["node-1", "node-2"] {
        let status = planned.status(office);
        assert_eq!((&status["keeper"], &status["dealer"]), (&"pkcs11".into(), &false.into()));
        assert_eq!(status["missing"].as_array().unwrap().len(), 0, "{status}");
        assert!(planned.names(office).1.is_empty());
        assert!(!planned.folder.join(office).join("keys.json").exists());
    }
    // Node 1 loses what it holds jointly; node 2's token gives nothing away before its officer has said to whom.
    let lost = ["k-12", "kp-12", "peer-13", "frost-share"];
    let own = planned.folder.join("node-1");
    let keys = Pkcs11Keys::open(&place(&folder, "node-1"), &own, &rng()).unwrap();
    let before = lost.map(|name| if name == "frost-share" { None } else { Some(keys.hmac(name, b"m").unwrap()) });
    let share = keys.share("frost-share").unwrap();
    lost.iter().for_each(|name| keys.destroy(name).unwrap());
    let repair = |planned: &Planned| {
        let order = planned.order(&["repair", "--subject", "node-1"], 2);
        let all = ["keys", "ceremony", "--all", planned.folder.to_str().unwrap(), "--order", &order];
        crate::apart::hufu(&[&all[..], &CONF].concat())
    };
    let told = String::from_utf8_lossy(&repair(&planned).stderr).into_owned();
    assert!(told.contains("node-2") && told.contains("officer"), "{told}");
    // Somebody has put another token's wrapping key into node 1's identity on its way to the officer.
    let identity = planned.path("node-1/identity.json");
    let (config, officer) = (planned.config("node-2"), folder.join("officer"));
    hufu_app::files::replace(&officer, OFFICER.as_bytes(), hufu_app::files::PRIVATE).unwrap();
    let file = officer.to_str().unwrap();
    let mut offered: serde_json::Value = serde_json::from_slice(&std::fs::read(&identity).unwrap()).unwrap();
    let thief = open(&folder, "thief").wrapping_key().unwrap();
    offered["wrapping"] = serde_json::to_value(&thief).unwrap();
    let swapped = planned.path("swapped.json");
    std::fs::write(&swapped, offered.to_string()).unwrap();
    let told = refused(&["keys", "trust", "--config", &config, "--officer-pin-file", file, &swapped]);
    assert!(told.contains("another wrapping key"), "{told}");
    offered["identity"]["wrapping_sha256"] = serde_json::to_value(Identity::pin(&thief.0)).unwrap();
    std::fs::write(&swapped, offered.to_string()).unwrap();
    let told = refused(&["keys", "trust", "--config", &config, "--officer-pin-file", file, &swapped]);
    assert!(told.contains("that the roster pins for node-1"), "{told}");
    assert!(!repair(&planned).status.success(), "nothing was trusted");
    // The control, with the PIN typed; a wrong one lets nobody in, and neither is seen.
    let trust = ["keys", "trust", "--config", &config, &identity];
    let (well, seen) = typed(&trust, "0000");
    assert!(!well && seen.contains("refuses") && !seen.contains("0000"), "{seen}");
    assert!(!repair(&planned).status.success(), "nothing was trusted");
    let (well, seen) = typed(&trust, OFFICER);
    assert!(well && seen.contains("is trusted") && !seen.contains(OFFICER), "{seen}");
    let repaired = repair(&planned);
    assert!(repaired.status.success(), "{}", String::from_utf8_lossy(&repaired.stderr));
    drop(keys);
    let keys = Pkcs11Keys::open(&place(&folder, "node-1"), &own, &rng()).unwrap();
    for (name, before) in lost.iter().zip(before) {
        assert_eq!(before.map(|_| keys.hmac(name, b"m").unwrap()), before, "{name}");
    }
    assert_eq!(keys.share("frost-share").unwrap(), share);
    drop(keys);
    let toured =
        crate::apart::hufu(&[&["sandbox", "up", planned.folder.to_str().unwrap(), "--tour"][..], &CONF].concat());
    assert!(toured.status.success(), "{}", String::from_utf8_lossy(&toured.stdout));
}

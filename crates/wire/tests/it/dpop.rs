//! DPoP: RFC 9449's own examples, and one attack for every check of its section 4.3.

use hufu_kernel::{SeededRng, Timestamp, b64};
use hufu_wire::dpop::{DpopError, Expected, FUTURE_LEEWAY, ath, make_proof, normal_address, verify_proof};
use hufu_wire::jose::{Alg, JoseError, Signer, SoftKey, assemble, signing_input_bytes};
use proptest::prelude::*;
use serde_json::{Value, json};

const HEADER_9449: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19";
const TOKEN_9449: &str = "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
const RESOURCE_9449: &str = "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
const ACCESS_TOKEN_9449: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

fn expected<'a>() -> Expected<'a> {
    Expected {
        method: "POST",
        htu: "https://front.example/token",
        now: Timestamp(1_000),
        max_age: 60,
        access_token: None,
        nonce: None,
    }
}

fn key() -> SoftKey {
    SoftKey::generate(Alg::ES256, &SeededRng::new(3)).unwrap()
}

/// A proof of `key()` whose header and claims are changed before it is signed.
fn forged(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let key = key();
    let mut public = serde_json::to_value(key.public()).unwrap();
    for name in ["kid", "alg", "use"] {
        public.as_object_mut().unwrap().remove(name);
    }
    let mut header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": public});
    let mut claims = json!({"jti": "j", "htm": "POST", "htu": "https://front.example/token", "iat": 1000});
    change(&mut header, &mut claims);
    let input = signing_input_bytes(&header.to_string(), &claims.to_string());
    assemble(&input, &key.sign(input.as_bytes()).unwrap())
}

#[test]
fn rfc_9449_examples_verify() {
    let proof = format!("{HEADER_9449}.{TOKEN_9449}");
    let at_token = Expected { htu: "https://server.example.com/token", now: Timestamp(1_562_262_616), ..expected() };
    let proof = verify_proof(&proof, &at_token).unwrap();
    assert_eq!(proof.jkt, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(proof.jti, "-BwC3ESc6acc2lTc");
    let proof = format!("{HEADER_9449}.{RESOURCE_9449}");
    let at_resource = Expected {
        method: "GET",
        htu: "https://resource.example.org/protectedresource",
        now: Timestamp(1_562_262_618),
        access_token: Some(ACCESS_TOKEN_9449),
        ..expected()
    };
    assert!(verify_proof(&proof, &at_resource).is_ok());
    assert_eq!(ath(ACCESS_TOKEN_9449), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
}

#[test]
fn what_a_client_makes_a_server_accepts() {
    for alg in [Alg::ES256, Alg::EdDSA] {
        let key = SoftKey::generate(alg, &SeededRng::new(4)).unwrap();
        let request = Expected {
            htu: "https://front.example/token?x=1#y",
            access_token: Some("token"),
            nonce: Some("n"),
            ..expected()
        };
        let made = make_proof(&key, &request, &SeededRng::new(5)).unwrap();
        let proof = verify_proof(&made, &request).unwrap();
        assert_eq!(proof.jkt, key.public().thumbprint());
        assert_eq!(proof.iat, request.now);
    }
}

#[test]
fn each_check_of_section_4_3_refuses_its_attack() {
    let claim = |name: &'static str, value: Value| forged(move |_, claims| claims[name] = value);
    let header = |name: &'static str, value: Value| forged(move |header, _| header[name] = value);
    let without = |name: &'static str| forged(move |_, claims| drop(claims.as_object_mut().unwrap().remove(name)));
    let other = SoftKey::generate(Alg::ES256, &SeededRng::new(9)).unwrap();
    let cases = [
        ("an honest proof", forged(|_, _| ()), None),
        ("two proofs in one header", format!("{0},{0}", forged(|_, _| ())), Some("(2)")),
        ("no jti", without("jti"), Some("(3)")),
        ("an empty jti", claim("jti", json!("")), Some("(3)")),
        ("a jti that would fill the replay set", claim("jti", json!("x".repeat(257))), Some("(3)")),
        ("no htm", without("htm"), Some("(3)")),
        ("no htu", without("htu"), Some("(3)")),
        ("no iat", without("iat"), Some("(3)")),
        ("iat as text", claim("iat", json!("1000")), Some("(3)")),
        ("another typ", header("typ", json!("JWT")), Some("(4)")),
        ("no typ", forged(|header, _| drop(header.as_object_mut().unwrap().remove("typ"))), Some("(4)")),
        ("alg none", header("alg", json!("none")), Some("(5)")),
        ("alg HS256", header("alg", json!("HS256")), Some("(5)")),
        ("alg RS256", header("alg", json!("RS256")), Some("(5)")),
        ("alg of another key type", header("alg", json!("EdDSA")), Some("(6, 7)")),
        ("no jwk", forged(|header, _| drop(header.as_object_mut().unwrap().remove("jwk"))), Some("(6, 7)")),
        ("a private jwk", forged(|header, _| header["jwk"]["d"] = json!(b64(&[1; 32]))), Some("(6, 7)")),
        ("another's jwk", header("jwk", json!(other.public())), Some("(6) the signature")),
        ("another method", claim("htm", json!("GET")), Some("(8)")),
        ("the method in lower case", claim("htm", json!("post")), Some("(8)")),
        ("another address", claim("htu", json!("https://other.example/token")), Some("(9)")),
        ("another path", claim("htu", json!("https://front.example/par")), Some("(9)")),
        ("another scheme", claim("htu", json!("http://front.example/token")), Some("(9)")),
        ("another port", claim("htu", json!("https://front.example:8443/token")), Some("(9)")),
        ("user information", claim("htu", json!("https://front.example@other.example/token")), Some("(9)")),
        ("no address at all", claim("htu", json!("token")), Some("(9)")),
        ("too old", claim("iat", json!(1000 - 61)), Some("(11)")),
        ("from the future", claim("iat", json!(1000 + FUTURE_LEEWAY + 1)), Some("(11)")),
        ("old enough", claim("iat", json!(1000 - 60)), None),
        ("a clock that runs ahead", claim("iat", json!(1000 + FUTURE_LEEWAY)), None),
        ("the same address spelt otherwise", claim("htu", json!("HTTPS://FRONT.example:443/a/../%74oken?q#f")), None),
    ];
    for (name, proof, refusal) in cases {
        match (verify_proof(&proof, &expected()), refusal) {
            (Ok(_), None) => {}
            (Err(error), Some(number)) => assert!(error.to_string().starts_with(number), "{name}: {error}"),
            (got, _) => panic!("{name}: {got:?}"),
        }
    }
}

#[test]
fn a_nonce_that_was_asked_for_must_be_there() {
    let asked = Expected { nonce: Some("fresh"), ..expected() };
    assert_eq!(verify_proof(&forged(|_, _| ()), &asked), Err(DpopError::Nonce));
    let stale = forged(|_, claims| claims["nonce"] = json!("stale"));
    assert_eq!(verify_proof(&stale, &asked), Err(DpopError::Nonce));
    assert!(verify_proof(&forged(|_, claims| claims["nonce"] = json!("fresh")), &asked).is_ok());
    // Who accepts more than one reads which it is.
    let nonce = |value: serde_json::Value| verify_proof(&forged(|_, claims| claims["nonce"] = value), &expected());
    assert_eq!(nonce(json!("fresh")).map(|proof| proof.nonce), Ok(Some("fresh".to_owned())));
    assert_eq!(nonce(json!(7)).map(|proof| proof.nonce), Err(DpopError::Claim("nonce")));
}

#[test]
fn a_proof_for_one_access_token_carries_no_other() {
    let with = Expected { access_token: Some("token"), ..expected() };
    assert_eq!(verify_proof(&forged(|_, _| ()), &with), Err(DpopError::AccessToken));
    let other = forged(|_, claims| claims["ath"] = json!(ath("other")));
    assert_eq!(verify_proof(&other, &with), Err(DpopError::AccessToken));
    assert!(verify_proof(&forged(|_, claims| claims["ath"] = json!(ath("token"))), &with).is_ok());
}

#[test]
fn the_thumbprint_does_not_depend_on_what_the_sender_says_about_its_key() {
    let plain = verify_proof(&forged(|_, _| ()), &expected()).unwrap();
    let dressed = forged(|header, _| {
        header["jwk"]["kid"] = json!("someone-else");
        header["jwk"]["use"] = json!("sig");
    });
    assert_eq!(verify_proof(&dressed, &expected()).unwrap(), plain);
}

#[test]
fn a_duplicate_claim_is_refused() {
    let key = key();
    let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": key.public()}).to_string();
    let claims = r#"{"jti":"j","htm":"GET","htm":"POST","htu":"https://front.example/token","iat":1000}"#;
    let input = signing_input_bytes(&header, claims);
    let proof = assemble(&input, &key.sign(input.as_bytes()).unwrap());
    assert!(matches!(verify_proof(&proof, &expected()), Err(DpopError::Malformed(JoseError::Json(_)))));
}

#[test]
fn addresses_have_one_spelling() {
    for (address, normal) in [
        ("https://a.example", Some("https://a.example/")),
        ("HTTPS://A.Example:443/x", Some("https://a.example/x")),
        ("http://a.example:80", Some("http://a.example/")),
        ("http://a.example:443/", Some("http://a.example:443/")),
        ("https://a.example:/x", Some("https://a.example/x")),
        ("https://a.example/X?y#z", Some("https://a.example/X")),
        ("https://a.example?y", Some("https://a.example/")),
        ("https://a.example/a/./b/../c", Some("https://a.example/a/c")),
        ("https://a.example/a/..", Some("https://a.example/")),
        ("https://a.example/../../a/.", Some("https://a.example/a/")),
        ("https://a.example/%7ea%2fb", Some("https://a.example/~a%2Fb")),
        ("http://[::1]:8080/x", Some("http://[::1]:8080/x")),
        ("http://[::1]/x", Some("http://[::1]/x")),
        ("https://a.example//x", Some("https://a.example//x")),
        ("ftp://a.example/", None),
        ("https://", None),
        ("https:///x", None),
        ("//a.example/x", None),
        ("https://u@a.example/", None),
        ("https://a.example:x/", None),
        ("https://a.example:123456/", None),
        ("https://a.example/%", None),
        ("https://a.example/%g0", None),
        ("https://a.example/ ", None),
        ("https://a.example\\x", None),
        ("https://ä.example/", None),
        ("", None),
    ] {
        assert_eq!(normal_address(address).as_deref(), normal, "{address}");
    }
}

proptest! {
    #[test]
    fn normal_addresses_are_a_fixed_point(address in "https?://[a-zA-Z0-9.]{1,8}(:[0-9]{0,4})?(/[a-z.%0-9A-F]{0,6}){0,4}[?#]?[a-z]{0,3}") {
        if let Some(once) = normal_address(&address) {
            let twice = normal_address(&once);
            prop_assert_eq!(twice.as_deref(), Some(once.as_str()));
        }
    }
}
